package proxy

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Comments of tests name the rows of docs/faults.md that they prove: one row, a list, or
// a range of one table.
var (
	faultRow     = regexp.MustCompile(`(?m)^\| ([ABCD]\d+) \|.*$`)
	faultComment = regexp.MustCompile(`//.*?\brows? ([ABCD]\d+(?:(?:, and |, | and |–|-| to )[ABCD]\d+)*)`)
	faultRange   = regexp.MustCompile(`([ABCD])(\d+)(?:(?:–|-| to )([ABCD])(\d+))?`)
)

// Every fault on the page has a test that says so, and no test names another.
func TestEveryFaultOnThePageIsTested(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(filepath.Join("..", "docs", "faults.md"))
	require.NoError(t, err)
	onPage := map[string]bool{}
	for _, match := range faultRow.FindAllStringSubmatch(string(page), -1) {
		require.Equal(t, 6, strings.Count(match[0], "|"), "row %s has not five cells", match[1])
		require.False(t, onPage[match[1]], "row %s is on the page twice", match[1])
		onPage[match[1]] = true
	}
	require.NotEmpty(t, onPage)

	tested := map[string]bool{}
	require.NoError(t, filepath.WalkDir("..", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") || filepath.Base(path) == "faults_doc_test.go" {
			return err
		}
		text, err := os.ReadFile(path)
		for _, row := range rowsNamed(string(text)) {
			require.True(t, onPage[row], "%s names row %s, which the page does not have", path, row)
			tested[row] = true
		}
		return err
	}))
	for row := range onPage {
		require.True(t, tested[row], "row %s has no test that names it", row)
	}
}

// rowsNamed are the rows that the comments in a source text name.
func rowsNamed(text string) (rows []string) {
	for _, comment := range faultComment.FindAllStringSubmatch(text, -1) {
		for _, part := range faultRange.FindAllStringSubmatch(comment[1], -1) {
			first, _ := strconv.Atoi(part[2])
			last := first
			if part[3] == part[1] {
				last, _ = strconv.Atoi(part[4])
			} else if part[3] != "" { // reported as a row that no page has
				rows = append(rows, part[0])
			}
			for n := first; n <= last; n++ {
				rows = append(rows, fmt.Sprint(part[1], n))
			}
		}
	}
	return rows
}

func TestRowsAreReadFromComments(t *testing.T) {
	t.Parallel()
	for comment, want := range map[string][]string{
		"// row A5":                       {"A5"},
		"// rows A5, A6":                  {"A5", "A6"},
		"// rows B8–B10":                  {"B8", "B9", "B10"},
		"// rows B9-B10, B12":             {"B9", "B10", "B12"},
		"// rows B24 to B26":              {"B24", "B25", "B26"},
		"// rows A1, A2, and B3 and D4":   {"A1", "A2", "B3", "D4"},
		"f() // what it is for; row A12":  {"A12"},
		"// rows A2–B3":                   {"A2–B3", "A2"},
		"// row A1\n// of rows B1, B2":    {"A1", "B1", "B2"},
		"row A5 // and a row of the page": nil,
	} {
		require.Equal(t, want, rowsNamed(comment), "%s", comment)
	}
}
