package accounting

import "unicode/utf8"

// script is a group of alphabets that vocabularies treat alike.
type script uint8

const (
	scriptLatin    script = iota
	scriptCyrillic        // and Greek
	scriptAlphabet        // the others: Arabic, Hebrew, Indic, Thai, …
	scriptHangul          // Korean
	scriptHan             // Chinese, and Japanese with its syllables
	scripts
)

// scriptOf returns the script that a character is a letter of, by the blocks of Unicode;
// ok is false for what stands between letters of any: spaces, digits, punctuation, signs.
func scriptOf(r rune) (s script, ok bool) {
	switch {
	case r < utf8.RuneSelf:
		lower := r | 0x20
		return scriptLatin, 'a' <= lower && lower <= 'z'
	case r < 0x00C0:
		return scriptLatin, false
	case r < 0x0250, 0x1E00 <= r && r < 0x1F00:
		return scriptLatin, true
	case 0x0370 <= r && r < 0x0530:
		return scriptCyrillic, true
	case 0x0590 <= r && r < 0x1100:
		return scriptAlphabet, true
	case isKana(r), 0x3400 <= r && r < 0x4DC0, 0x4E00 <= r && r < 0xA000, 0x20000 <= r && r < 0x32000:
		return scriptHan, true
	case 0xAC00 <= r && r < 0xD7B0, 0x1100 <= r && r < 0x1200:
		return scriptHangul, true
	}
	return scriptLatin, false
}

func isKana(r rune) bool { return 0x3040 <= r && r < 0x3100 }

// eachScript cuts s where its script changes and hands over the runs. What stands between
// two scripts goes with the first, but for a space right in front of the second, which
// tokens have at their beginning.
func eachScript(s string, run func(script, string)) {
	from, now, begun := 0, scriptLatin, false
	for i := 0; i < len(s); {
		r, size := rune(s[i]), 1
		if r >= utf8.RuneSelf {
			r, size = utf8.DecodeRuneInString(s[i:])
		}
		if next, letter := scriptOf(r); letter {
			if begun && next != now {
				cut := i
				if s[cut-1] == ' ' && cut-1 > from {
					cut--
				}
				run(now, s[from:cut])
				from = cut
			}
			now, begun = next, true
		}
		i += size
	}
	if from < len(s) {
		run(now, s[from:])
	}
}
