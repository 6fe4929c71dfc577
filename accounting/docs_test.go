package accounting

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
)

const docsPage = "../docs/metrics.md"

var (
	describedName   = regexp.MustCompile(`fqName: "(sluice_[a-z_]+)"`)
	describedLabels = regexp.MustCompile(`variableLabels: \{([^}]*)\}`)
)

func TestDocumentationHasEveryMetricWithItsLabels(t *testing.T) {
	page, err := os.ReadFile(docsPage)
	require.NoError(t, err)
	rows := map[string]string{} // label column by name
	for line := range strings.Lines(string(page)) {
		if cells := strings.Split(line, " | "); strings.HasPrefix(line, "| `sluice_") && len(cells) == 4 {
			rows[strings.Trim(cells[0], "|` ")] = strings.ReplaceAll(cells[2], "`", "")
		}
	}
	descs := make(chan *prometheus.Desc, 100)
	testMetrics().Registry().Describe(descs)
	close(descs)
	described := 0
	for desc := range descs {
		name := describedName.FindStringSubmatch(desc.String())
		if name == nil {
			continue
		}
		described++
		shown, ok := rows[name[1]]
		require.True(t, ok, "%s does not explain %s", docsPage, name[1])
		if labels := describedLabels.FindStringSubmatch(desc.String()); labels != nil && labels[1] != "" {
			require.Equal(t, strings.ReplaceAll(labels[1], ",", ", "), shown, name[1])
		}
	}
	require.Len(t, rows, described, "%s explains a metric that does not exist", docsPage)
}
