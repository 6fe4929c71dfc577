package config_test

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/config"
)

const docsPage = "../docs/configuration.md"

func TestDocumentationHasEveryKeyWithItsDefault(t *testing.T) {
	page, err := os.ReadFile(docsPage)
	require.NoError(t, err)
	rows := map[string]string{} // default column by key
	for line := range strings.Lines(string(page)) {
		if cells := strings.Split(line, " | "); strings.HasPrefix(line, "| `") && len(cells) > 1 {
			rows[strings.Trim(cells[0], "|` ")] = strings.Trim(cells[1], "` ")
		}
	}
	var schema map[string]any
	require.NoError(t, json.Unmarshal(config.Schema(), &schema))
	paths := schemaPaths(schema, "")
	for path, property := range paths {
		shown, ok := rows[path]
		require.True(t, ok, "%s does not explain %s", docsPage, path)
		if value, ok := property["default"]; ok {
			require.Equal(t, fmt.Sprint(value), shown, path)
		}
	}
	for key := range rows {
		require.Contains(t, paths, key, "%s explains a key that does not exist", docsPage)
	}
}
