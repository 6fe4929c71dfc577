package translate

import (
	"slices"
	"strings"
	"unicode/utf16"
)

// The cases follow RFC 8259: texts that every parser accepts (valid), that none may
// (invalid), and that it leaves to the parser (open). Most are made of patterns, so that
// the number of cases grows with the kinds of mistakes and not with the patience of the
// writer.
var (
	validValues   = slices.Concat(validNumbers(), validStrings(), validLists(), validObjects(), validScalars())
	invalidValues = slices.Concat(invalidNumbers(), invalidStrings(), invalidLists(), invalidObjects(),
		invalidScalars(), invalidTexts())
	openValues = slices.Concat(openNumbers(), openStrings(), openTexts())
)

// each puts every filling into a pattern that has one %.
func each(pattern string, fillings ...string) []string {
	var cases []string
	for _, filling := range fillings {
		cases = append(cases, strings.Replace(pattern, "%", filling, 1))
	}
	return cases
}

func validNumbers() []string {
	cases := []string{"123456789012345678901234567890", "0.0000000000000000000000000000001", "1.7976931348623157e308", "4.9e-324"}
	for _, sign := range []string{"", "-"} {
		cases = append(cases, each(sign+"%", "0", "1", "10", "1234", "0.1", "0.0", "10.25",
			"1e1", "1E1", "1e+1", "1E+1", "1e-1", "1E-1", "0e1", "0e+1", "0E0", "1.5e3", "20e1", "123e65")...)
	}
	return cases
}

func validStrings() []string {
	cases := each(`"\%"`, `"`, `\`, `/`, `b`, `f`, `n`, `r`, `t`, `u0000`, `u0041`, `u00e9`, `u2028`, `uFFFF`, `uD834\udd1e`, `\u0000`, `\\"`)
	return append(cases, `""`, `" "`, `"a"`, `"//"`, `"/* no comment */"`, `"[{:,}]"`, `"null"`, "\"\x7f\"", "\"\u2028\u2029\"", `"é€😀"`,
		"\"\ufeff\"", "\"\uFFFE\U0010FFFF\"", `"a\u0000b"`, `"'"`, `"#"`)
}

func validLists() []string {
	return []string{
		`[]`, `[ ]`, `[[]]`, `[[[]],[]]`, `[""]`, `["a"]`, `[null]`, `[false]`, `[1]`, `[1,2]`, `[1 , 2]`, `[null,1,"a",{}]`,
		"[\n1\t,\r2 ]", "[\n]", `[1,null,null,2]`, ` [1]`, `[1] `, strings.Repeat("[", 100) + strings.Repeat("]", 100),
	}
}

func validObjects() []string {
	return []string{
		`{}`, `{ }`, `{"":0}`, `{"a":1}`, `{"a":1,"a":2}`, `{"a":1,"a":1}`, `{"a":{"b":[]}}`, "{ \"a\"\t:\r1\n}", `{"\u0061":1}`,
		`{"a\"b":1}`, `{"a\u0000b":1}`, `{"a":[{"b":{}}]}`, `{"min":-1.0e+28,"max":1.0e+28}`, "{\n}",
	}
}

func validScalars() []string {
	return []string{`null`, `true`, `false`, ` null`, "true\n", "\tfalse", "\r\n1"}
}

func invalidNumbers() []string {
	var cases []string
	for _, sign := range []string{"", "-"} {
		cases = append(cases, each(sign+"%", "01", "012", "00", "00.1", ".1", ".", "1.", "0.e1", "1.e1", "1e", "1E", "1e+", "1e-", "1e.5",
			"0x1", "0x", "0b1", "1_000", "1,5.", "0.1.2", "1e1e1", "1a", "1+2", "1-2", "1 000.0", "NaN", "Infinity", "inf", "１", "1e１")...)
	}
	return append(cases, "-", "+1", "+", "--1", "-+1", "- 1", "++1", "+Infinity", "nan", "1 2", "1\u00a0", "-a", "0.3e", "0e", "1f", "1L", "1n")
}

func invalidStrings() []string {
	cases := each(`"\%"`, `a`, `x00`, `0`, `'`, `u`, `u0`, `u00`, `u000`, `u00g0`, `U0041`, `uD834\u`, `uD834\ud`, `u 0041`, `u+041`,
		"\n", "\x00", "é", "\t", "v", "e")
	for c := range 0x20 {
		cases = append(cases, `"`+string(rune(c))+`"`)
	}
	return append(cases, `"`, `"a`, `a"`, `'a'`, `"\"`, `"\\\"`, `"a" "b"`, `"a""b"`, "`a`", `«a»`, `“a”`, `\u0061`, `"\`)
}

func invalidLists() []string {
	return []string{
		`[`, `]`, `[,]`, `[1,]`, `[,1]`, `[1,,2]`, `[1,,]`, `[,,1]`, `[1 2]`, `[1:2]`, `[1`, `[1,`, `["`, `["a`, `[""`, `["a",`, `[[1]`, `[1]]`,
		`[}`, `[1}`, `["a":1]`, `["":]`, `[1;2]`, `[a]`, `[...]`, `[*]`, `[ , ]`, "[\n", "[1,\n1\n,1", `[]]`, `[][]`, `[1]x`, `[{}`, `[{}}`, `[x`, `[-]`,
		"[\u000c]", "[\u2060]", `["\u00e`, `[1],`, `,[1]`, `[nul]`, `[""],`,
	}
}

func invalidObjects() []string {
	return []string{
		`{`, `}`, `{]`, `{,}`, `{"a"}`, `{"a":}`, `{"a":1,}`, `{"a":1,,"b":2}`, `{,"a":1}`, `{"a" 1}`, `{"a"::1}`, `{"a":1:2}`, `{:1}`, `{1:1}`, `{a:1}`,
		`{'a':1}`, `{null:1}`, `{true:1}`, `{[]:1}`, `{{}:1}`, `{"a":1 "b":2}`, `{"a":1`, `{"a":1,`, `{"a"`, `{"a":`, `{"a`, `{"`, `{"a":1}}`, `{"a":1,"b"}`,
		`{"a","b":1}`, `{"a":1]`, `{"a":1}#`, `{"a":1}//`, `{"a":1}/**/`, `{"a":/*x*/1}`, `{"a":1}{"b":2}`, `{"a":1},`, `{"a":"b"`, `{"a":'b'}`, `{"a":b}`,
		`{"a";1}`, `{"a"=1}`, `{"a"=>1}`, `{"a":1;"b":2}`, `{"a":1,...}`, `{"\":1}`, "{\"a\nb\":1}", `{"a":1,,}`, `{x:1,"a":1}`, `{"a":{}`, `{"a":[}`, `{"a":1}x`,
	}
}

func invalidScalars() []string {
	return []string{
		`nul`, `nulll`, `Null`, `NULL`, `n`, `None`, `nil`, `tru`, `truee`, `TRUE`, `True`, `t`, `fals`, `falsee`, `False`, `undefined`, `yes`, `a`, `*`,
		`null null`, `truefalse`, `null,`, `nul\u006c`, `-null`, `\null`,
	}
}

// invalidTexts are no JSON from their first or last byte on.
func invalidTexts() []string {
	cases := each("%1", "\x0c", "\x0b", "\u00a0", "\u2028", "\u2060", "\x00", "\xff", "\xc3", "\x1e", "\u0085", "//\n", "/**/", "#\n", ";", ")]}',\n", "<!---->")
	return append(cases, "", " ", "\n", "1\x00", "1\u2028", "\x00", "\xff", "<html>", "<null>", "data: {}", "%7B%7D", "e", "é", "😀", "$", "()", "=1", `!"a"`, "\\n", "---\na: 1")
}

func openNumbers() []string {
	return []string{
		"1e400", "-1e400", "1e-400", "123123e100000", "-1e+9999", "1e999999999999", "123.456e-789", "0.4e0066999999999999999999999999999",
		"100000000000000000000", "-123123123123123123123123123123", "-237462374673276894279832749832423479823246327846",
	}
}

// openStrings are halves of pairs of surrogates, and bytes that are no UTF-8.
func openStrings() []string {
	cases := each(`"%"`, `\uD800`, `\uDBFF`, `\uDC00`, `\uDFAA`, `\uD800\uD800\n`, `\uD800abc`, `\uDd1e\uD834`, `\uD888\u1234`, `\uD800\n`, `\ud800\ud800\udc00`)
	return append(cases, each(`"%"`, "\xff", "\x81", "\xc0\xaf", "\xc3", "\xe0\xff", "\xe2\x80", "\xe6\x97\xa5\xd1\x88\xfa", "\xed\xa0\x80",
		"\xf0\x80\x80\xaf", "\xf4\xbf\xbf\xbf", "\xf8\x88\x80\x80\x80", "\xfc\x83\xbf\xbf\xbf\xbf", "\xe9", "\xfe\xff", "a\xf0\x9f\x98")...)
}

// openTexts are in other encodings, begin with a mark, or nest deep.
func openTexts() []string {
	wide := func(text string, high bool) string {
		var out []byte
		for _, unit := range utf16.Encode([]rune(text)) {
			if high {
				out = append(out, byte(unit>>8), byte(unit))
			} else {
				out = append(out, byte(unit), byte(unit>>8))
			}
		}
		return string(out)
	}
	return []string{
		"\ufeff{}", "\ufeff[1]", wide("\ufeff{}", true), wide("\ufeff{}", false), wide(`["é"]`, true), wide(`["é"]`, false),
		strings.Repeat("[", 500) + strings.Repeat("]", 500),
	}
}
