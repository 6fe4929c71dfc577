// Package docs checks the documentation of the repository.
package docs

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/sluicehq/sluice/config"
)

// pages returns the text of every Markdown page of the repository by its path.
func pages(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	require.NoError(t, filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		switch name := entry.Name(); {
		case entry.IsDir() && (name == "node_modules" || name == "testdata" || len(name) > 2 && name[0] == '.'):
			return filepath.SkipDir
		case filepath.Ext(name) == ".md":
			text, err := os.ReadFile(path)
			found[path] = string(text)
			return err
		}
		return nil
	}))
	require.Contains(t, found, filepath.Join("..", "README.md"))
	return found
}

var (
	link      = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	yamlBlock = regexp.MustCompile("(?s)\n```yaml\n(.*?)\n```")
)

func TestLinksLeadSomewhere(t *testing.T) {
	all := pages(t)
	for page, text := range all {
		for _, match := range link.FindAllStringSubmatch(text, -1) {
			target, anchor, _ := strings.Cut(match[1], "#")
			if strings.Contains(target, "://") {
				continue
			}
			to := page
			if target != "" {
				to = filepath.Join(filepath.Dir(page), target)
				_, err := os.Stat(to)
				require.NoError(t, err, "%s links to %s", page, match[1])
			}
			if heading, isPage := all[to]; isPage && anchor != "" {
				require.Contains(t, anchorsOf(heading), anchor, "%s links to %s", page, match[1])
			}
		}
	}
}

var (
	headingLine = regexp.MustCompile(`(?m)^#+ (.*)$`)
	noAnchor    = regexp.MustCompile(`[^\p{L}\p{N}_ -]`)
)

// anchorsOf are the anchors of the headings of a page, as GitHub makes them.
func anchorsOf(page string) (anchors []string) {
	for _, match := range headingLine.FindAllStringSubmatch(page, -1) {
		plain := noAnchor.ReplaceAllString(strings.ToLower(match[1]), "")
		anchors = append(anchors, strings.ReplaceAll(plain, " ", "-"))
	}
	return anchors
}

func TestEveryPageIsInTheIndex(t *testing.T) {
	for _, folder := range []string{".", "design"} {
		index, err := os.ReadFile(filepath.Join(folder, "README.md"))
		require.NoError(t, err)
		paths, err := filepath.Glob(filepath.Join(folder, "*.md"))
		require.NoError(t, err)
		for _, path := range paths {
			if name := filepath.Base(path); name != "README.md" {
				require.Contains(t, string(index), "("+name+")", "the index of %s", folder)
			}
		}
	}
}

func TestYAMLParses(t *testing.T) {
	for page, text := range pages(t) {
		for _, match := range yamlBlock.FindAllStringSubmatch(text, -1) {
			requireYAML(t, page, match[1])
		}
	}
}

// requireYAML also loads what is marked as a configuration.
func requireYAML(t *testing.T, page, text string) {
	t.Helper()
	decoder := yaml.NewDecoder(strings.NewReader(text))
	for {
		var value any
		err := decoder.Decode(&value)
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err, "%s:\n%s", page, text)
		if resource, ok := value.(map[string]any); ok && resource["kind"] == "ConfigMap" {
			requireConfig(t, page, resource["data"].(map[string]any)["config.yaml"].(string))
		}
	}
	if strings.HasPrefix(text, "# config.yaml\n") {
		requireConfig(t, page, text)
	}
}

func requireConfig(t *testing.T, page, text string) {
	t.Helper()
	anything := func(string) (string, bool) { return strings.Repeat("a1", 32), true }
	_, err := config.Parse([]byte(text), page, anything)
	require.NoError(t, err)
}

var (
	metricInSource = regexp.MustCompile(`"(sluice_[a-z_]+)"`)
	metricOnPage   = regexp.MustCompile("(?m)^\\| `(sluice_[a-z_]+)` \\|")
)

// The package accounting compares its own metrics with the page in more detail.
func TestEveryMetricIsOnItsPage(t *testing.T) {
	page, err := os.ReadFile("metrics.md")
	require.NoError(t, err)
	onPage := map[string]bool{}
	for _, match := range metricOnPage.FindAllStringSubmatch(string(page), -1) {
		require.False(t, onPage[match[1]], "%s is there twice", match[1])
		onPage[match[1]] = true
	}
	inSource := map[string]bool{}
	for _, folder := range []string{"accounting", "cmd", "limits", "proxy", "replicas"} {
		require.NoError(t, filepath.WalkDir(filepath.Join("..", folder), func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			text, err := os.ReadFile(path)
			for _, match := range metricInSource.FindAllStringSubmatch(string(text), -1) {
				inSource[match[1]] = true
			}
			return err
		}))
	}
	require.Equal(t, inSource, onPage)
}
