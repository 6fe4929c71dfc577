package accounting

import (
	"encoding/json"
	"math/rand/v2"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

func TestVocabularyIsNotLoadedBeforeItIsNeeded(t *testing.T) {
	var e Estimator
	require.Zero(t, e.Output("gpt-4o", OutputText{}))
	require.Nil(t, e.o200k.codec)
	require.Nil(t, e.cl100k.codec)
	e.Text("gpt-4o", "hello")
	require.NotNil(t, e.o200k.codec)
	require.Nil(t, e.cl100k.codec)
}

func TestKnownTokenCounts(t *testing.T) {
	var e Estimator
	f := func(model, text string, want int64) {
		t.Helper()
		require.Equal(t, want, e.Text(model, text), "%s %q", model, text)
	}

	// From the examples of OpenAI's tiktoken and its cookbook.
	f("gpt-4", "tiktoken is great!", 6)
	f("gpt-4o", "tiktoken is great!", 6)
	f("gpt-4", "antidisestablishmentarianism", 6)
	f("gpt-4", "2 + 2 = 4", 7)
	f("gpt-4", "お誕生日おめでとう", 9)
	f("gpt-4o", "お誕生日おめでとう", 8)
	f("gpt-4o", "hello world", 2)
	f("gpt-4o", "", 0)
}

func wholeCount(t *testing.T, e *Estimator, model, text string) int64 {
	t.Helper()
	c := e.counter(model)
	n, err := c.codec.Count(text)
	require.NoError(t, err)
	return int64(n)
}

func prose(words int, seed uint64) string {
	random := rand.New(rand.NewPCG(seed, 1))
	vocabulary := []string{
		"the", "quick", "brown", "Fox", "jumps", "over", "lazy", "dogs,", "don't", "2024", "x=y+1;", "größer",
		"naïve", "東京", "привет", "🙂", "\n\n", "\t", "https://example.com/a?b=c", "(and", "so)", "  ", "CamelCase", "12345678",
	}
	var b strings.Builder
	for range words {
		b.WriteString(vocabulary[random.IntN(len(vocabulary))])
		b.WriteByte(' ')
	}
	return b.String()
}

func TestCountingInPiecesGivesTheCountOfTheWhole(t *testing.T) {
	var e Estimator
	for _, model := range []string{"gpt-4o", "gpt-4"} {
		for seed := range uint64(2) {
			text := prose(10_000, seed)
			require.Greater(t, len(text), 3*pieceBytes)
			require.Equal(t, wholeCount(t, &e, model, text), e.Text(model, text))
		}
	}
}

func TestTextWithoutSpacesIsNearlyExact(t *testing.T) {
	var e Estimator
	for _, text := range []string{
		strings.Repeat("東京都庁舎", 4_000), strings.Repeat("iVBORw0KGgo", 5_000),
		strings.Repeat(" ", 100_000), strings.Repeat("\n", 50_000) + "x",
	} {
		whole := wholeCount(t, &e, "gpt-4o", text)
		require.InDelta(t, whole, e.Text("gpt-4o", text), float64(2*len(text)/pieceBytes+2))
	}
}

func TestPieceEndNeverCutsARune(t *testing.T) {
	for _, text := range []string{strings.Repeat("é", 50), strings.Repeat("東", 50), strings.Repeat("🙂", 50), "a" + strings.Repeat("🙂", 50)} {
		for n := utf8.UTFMax; n < len(text); n++ {
			end := pieceEnd(text[:n])
			require.Positive(t, end)
			require.LessOrEqual(t, end, n)
			require.True(t, utf8.ValidString(text[:end]), "%d of %d", end, n)
		}
	}
}

func TestLongTextIsSampledAllOverIt(t *testing.T) {
	var e Estimator
	english := strings.Repeat("all work and no play makes Jack a dull boy. ", 20_000)
	digits := strings.Repeat("31415926535 ", 60_000)
	text := english + digits
	require.Greater(t, len(text), 3*mostTokenised)
	c := e.counter("gpt-4o")
	c.sampling = samplingOf(int64(len(text)), mostTokenised)
	c.text(text)
	require.EqualValues(t, len(text), c.sampling.seen)
	require.InDelta(t, mostTokenised, c.sampling.taken, 2*sampledPieceBytes)
	require.InEpsilon(t, wholeCount(t, &e, "gpt-4o", text), c.total(), 0.02)
}

func TestWithoutTokenizerBytesAreDivided(t *testing.T) {
	c := &tokenCounter{vocabulary: o200k}
	c.text("12345")
	require.EqualValues(t, 2, c.total())
}

func unescape(b []byte) string {
	var out []byte
	for len(b) > 0 {
		out, b = unescapeNext(out, b, len(out)+1<<20)
	}
	return string(out)
}

func TestUnescapeReadsWhatJSONWrites(t *testing.T) {
	f := func(escaped, want string) {
		t.Helper()
		require.Equal(t, want, unescape([]byte(escaped)), escaped)
	}

	f(`plain`, "plain")
	f(`a\nb\tc\rd\be\ff`, "a\nb\tc\rd\be\ff")
	f(`\"\\\/`, `"\/`)
	f(`\u00e9\u6771`, "é東")
	f(`\ud83d\ude42!`, "🙂!")

	f(`\ud83d alone`, "\uFFFD alone")
	f(`\ude42\ud83d`, "\uFFFD\uFFFD")
	f(`\ud83d\u0041`, "\uFFFDA")
	f(`\uZZZZ`, `\uZZZZ`)
	f(`\u12`, `\u12`)
	f(`end\`, `end\`)
}

func TestEscapedTextCountsLikePlainText(t *testing.T) {
	var e Estimator
	for seed := range uint64(3) {
		text := prose(6_000, seed)
		escaped, err := json.Marshal(text)
		require.NoError(t, err)
		c := e.counter("gpt-4o")
		c.escaped(escaped[1 : len(escaped)-1])
		require.EqualValues(t, e.Text("gpt-4o", text), c.total())
	}
}

func FuzzUnescape(f *testing.F) {
	for _, seed := range []string{"", "plain", "a\"b\\c\n", "🙂\u2028", `\ud83d\ude42`, `\u`, `\`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		escaped, err := json.Marshal(text)
		require.NoError(t, err)
		var want string
		require.NoError(t, json.Unmarshal(escaped, &want))
		require.Equal(t, want, unescape(escaped[1:len(escaped)-1]))

		// Bytes that are no JSON string must come to an end too, and through the window.
		unescape([]byte(text))
		(&tokenCounter{vocabulary: o200k}).escaped([]byte(text))
	})
}

func BenchmarkEstimatorOutput(b *testing.B) {
	var e Estimator
	escaped, err := json.Marshal(prose(20_000, 7))
	require.NoError(b, err)
	text := OutputText{Content: escaped[1 : len(escaped)-1], TotalBytes: int64(len(escaped) - 2)}
	e.Output("gpt-4o", text)
	b.SetBytes(int64(len(escaped)))
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		e.Output("gpt-4o", text)
	}
}
