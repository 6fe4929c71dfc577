package translate

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// goldenFile is a file of sections, each under a line "-- name --". A section ends
// without the line feed in front of the next such line.
type goldenFile map[string]string

// eachGolden runs one subtest for each file of a folder below testdata.
func eachGolden(t *testing.T, folder string, run func(t *testing.T, file goldenFile)) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join("testdata", folder, "*.txtar"))
	require.NoError(t, err)
	require.NotEmpty(t, paths)
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			text, err := os.ReadFile(path)
			require.NoError(t, err)
			run(t, parseGolden(string(text)))
		})
	}
}

func parseGolden(text string) goldenFile {
	file := goldenFile{}
	name := ""
	var lines []string
	finish := func() {
		if name != "" {
			file[name] = strings.Join(lines, "\n")
		}
		lines = nil
	}
	for line := range strings.SplitSeq(strings.TrimSuffix(text, "\n"), "\n") {
		if rest, ok := strings.CutPrefix(line, "-- "); ok && strings.HasSuffix(rest, " --") {
			finish()
			name = strings.TrimSuffix(rest, " --")
			continue
		}
		lines = append(lines, line)
	}
	finish()
	return file
}

// rules reads a section of "name value" lines.
func (g goldenFile) rules(section string) map[string]string {
	rules := map[string]string{}
	for line := range strings.SplitSeq(g[section], "\n") {
		name, value, _ := strings.Cut(line, " ")
		rules[name] = value
	}
	return rules
}
