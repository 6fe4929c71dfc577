package config_test

import (
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/config"
)

const docsPage = "../docs/configuration.md"

func TestDocumentationHasEveryKeyWithItsDefault(t *testing.T) {
	page, err := os.ReadFile(docsPage)
	require.NoError(t, err)
	live := reloadable()
	rows := map[string]string{} // default column by key
	for _, cells := range tableRows(string(page), "key") {
		require.Len(t, cells, 4, cells[0])
		rows[cells[0]] = cells[1]
		require.Equal(t, live[cells[0]], cells[2], "column reload of %s", cells[0])
	}
	for _, cells := range tableRows(string(page), "limit") { // of three lists
		for _, list := range []string{"providers", "models", "keys"} {
			rows[list+"[].limits."+cells[0]] = cells[1]
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

// The pages tables of words explain every value that the schema allows.
func TestDocumentationHasEveryDialectPlatformAndQuirk(t *testing.T) {
	page, err := os.ReadFile(docsPage)
	require.NoError(t, err)
	words := func(heading string, column int) (list []string) {
		for _, cells := range tableRows(string(page), heading) {
			list = append(list, cells[column])
		}
		return list
	}
	provider := reflect.TypeFor[config.Provider]()
	allowed := func(member string) []string {
		field, ok := provider.FieldByName(member)
		require.True(t, ok)
		return strings.Split(field.Tag.Get("enum"), ",")
	}
	require.ElementsMatch(t, allowed("Quirks"), words("quirk", 0))
	dialects := allowed("Dialect")
	for _, word := range words("dialect", 0) {
		require.Subset(t, dialects, strings.Split(word, "`, `"))
	}
	for _, dialect := range dialects {
		require.Contains(t, string(page), "| `"+dialect+"` |", "no table row")
	}
	for _, platform := range allowed("Platform") {
		require.Contains(t, words("dialect", 1), platform)
	}
}

// tableRows returns the cells of the tables whose first column has this heading,
// without their backquotes.
func tableRows(page, heading string) [][]string {
	var rows [][]string
	inside := false
	for line := range strings.Lines(page) {
		cells := strings.Split(strings.Trim(line, "| \n"), "|")
		for i := range cells {
			cells[i] = strings.Trim(cells[i], "` ")
		}
		switch {
		case !strings.HasPrefix(line, "|"):
			inside = false
		case cells[0] == heading:
			inside = true
		case inside && !strings.HasPrefix(line, "|-"):
			rows = append(rows, cells)
		}
	}
	return rows
}
