package accounting

import (
	"bytes"
	"encoding/json"
	"math"
	"os"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// vocabularyText is a text with the tokens that the published vocabularies of several
// makers divide it into: those of Llama 3, Qwen 3, DeepSeek V3, Mistral (Tekken of
// September 2024), Gemma 3 and Claude 2.
type vocabularyText struct {
	Kind, Text string
	Tokens     map[string]int64
}

func vocabularyTexts(t *testing.T) (all []vocabularyText) {
	t.Helper()
	file, err := os.ReadFile("testdata/vocabularies/texts.jsonl")
	require.NoError(t, err)
	for line := range bytes.Lines(file) {
		var text vocabularyText
		require.NoError(t, json.Unmarshal(line, &text))
		all = append(all, text)
	}
	return all
}

func TestCorrectedCountsComeNearThePublishedVocabularies(t *testing.T) {
	var e Estimator
	for name, v := range map[string]*vocabulary{
		"llama": llamaVocabulary, "qwen": qwenVocabulary, "deepseek": deepseekVocabulary,
		"mistral": mistralVocabulary, "gemini": geminiVocabulary, "claude-2": &claude2,
	} {
		var errs []float64
		for _, text := range vocabularyTexts(t) {
			c := e.counterOf(v)
			c.text(text.Text)
			want := float64(text.Tokens[name])
			err := c.total()/want - 1
			errs = append(errs, math.Abs(err))
			t.Logf("%-8s %-16s %4.0f tokens, %+5.1f %%", name, text.Kind, want, 100*err)
		}
		slices.Sort(errs)
		// Short texts, most of them in languages where the vocabularies differ most.
		require.LessOrEqual(t, errs[len(errs)/2], 0.08, name)
		require.LessOrEqual(t, errs[len(errs)*9/10], 0.25, name)
	}
}

func TestMarksAreCountedWhateverTheScript(t *testing.T) {
	f := func(text string, want mark) {
		t.Helper()
		var seen [marks]int
		countMarks(&seen, text)
		require.Equal(t, len([]rune(text)), seen[want], "%q", text)
	}

	f("abc XYZ\t", markNone)
	f("0123456789", markDigit)
	f("!~_/\\{\"", markPunct)
	f("\n\n", markNewline)
	f("éßñőấ", markLatin)
	f("ひらカタ", markKana)
	f("—…🙂→。", markSign)
	f("\xff\xfe", markSign)
}

func TestTextIsCutWhereItsScriptChanges(t *testing.T) {
	f := func(text string, want ...string) {
		t.Helper()
		var runs []string
		eachScript(text, func(_ script, run string) { runs = append(runs, run) })
		require.Equal(t, want, runs)
	}

	f("plain text, 12 words; größer", "plain text, 12 words; größer")
	f("The word привет, it means hello", "The word", " привет,", " it means hello")
	f("见 README.md 文件。", "见", " README.md", " 文件。")
	f("東京はひらがな", "東京はひらがな")
	f("안녕 hello مرحبا नमस्ते", "안녕", " hello", " مرحبا नमस्ते")
	f("12:30 🙂 — привет", "12:30 🙂 — привет")
	f("a б", "a", " б")
	f("é\xffя", "é\xff", "я")
	f("")
}

func TestACorrectedTextIsNeverMoreThanItsBytes(t *testing.T) {
	var e Estimator
	for _, v := range []*vocabulary{llamaVocabulary, qwenVocabulary, deepseekVocabulary, mistralVocabulary, geminiVocabulary, claudeVocabulary, claudeNextVocabulary} {
		for _, text := range []string{"a", "東", "…………………", "\n\n\n\n", "{}{}{}[][]", "1", "ééééé", "안"} {
			c := e.counterOf(v)
			c.text(text)
			require.GreaterOrEqual(t, c.total(), 1.0, text)
			require.LessOrEqual(t, c.total(), float64(len(text)), text)
		}
	}
}
