package translate

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const docsPage = "../docs/errors.md"

func TestDocumentationHasEveryCode(t *testing.T) {
	page, err := os.ReadFile(docsPage)
	require.NoError(t, err)
	shown := map[string]string{}
	for line := range strings.Lines(string(page)) {
		if cells := strings.Split(line, " | "); strings.HasPrefix(line, "| `") && len(cells) == 4 {
			shown[strings.Trim(cells[0], "|` ")] = cells[1] + " " + cells[2]
		}
	}
	want := map[string]string{}
	for code, entry := range codes {
		mayHaveRun := map[bool]string{true: "yes", false: "no"}[entry.sent]
		want[code] = fmt.Sprint(entry.status, " ", mayHaveRun)
	}
	require.Equal(t, want, shown, docsPage)
}

func TestEveryCodeHasAMessage(t *testing.T) {
	source, err := os.ReadFile("codes.go")
	require.NoError(t, err)
	constants := 0
	for line := range strings.Lines(string(source)) {
		name, value, ok := strings.Cut(line, "= \"")
		if !ok || !strings.HasPrefix(strings.TrimSpace(name), "Code") {
			continue
		}
		constants++
		code, _, _ := strings.Cut(value, `"`)
		require.NotEmpty(t, codes[code].message, code)
	}
	require.Equal(t, len(codes), constants)
}
