//go:build linux

package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestReplaceTablesLeavesTheRestOfThePage(t *testing.T) {
	f := func(page, want string) {
		t.Helper()
		got, err := replaceTables([]byte(page), []byte("\nnew\n"))
		require.NoError(t, err)
		require.Equal(t, want, string(got))
		again, err := replaceTables(got, []byte("new"))
		require.NoError(t, err)
		require.Equal(t, want, string(again))
	}

	f("a\n"+tablesBegin+"\nold\n"+tablesEnd+"\nb\n", "a\n"+tablesBegin+"\n\nnew\n\n"+tablesEnd+"\nb\n")
	f(tablesBegin+tablesEnd, tablesBegin+"\n\nnew\n\n"+tablesEnd)
}

func TestReplaceTablesNeedsBothComments(t *testing.T) {
	for _, page := range []string{"", tablesBegin, tablesEnd, tablesEnd + tablesBegin} {
		_, err := replaceTables([]byte(page), nil)
		require.ErrorIs(t, err, errNoMarkers)
	}
}

func TestThePageOfTheDocumentationCanBeWritten(t *testing.T) {
	require.NoError(t, checkPage(filepath.Join("..", "docs", "performance.md")))
	require.NoError(t, checkPage(""))
	require.ErrorIs(t, checkPage(filepath.Join(t.TempDir(), "none.md")), os.ErrNotExist)
}

func TestMachineLine(t *testing.T) {
	m := machine{Cores: 2, CPU: "Example 9000", Kernel: "Linux 6.1", Go: "go1.26", Date: "2026-01-02"}
	require.Equal(t, "Machine: 2 cores, Example 9000, Linux 6.1, go1.26. Measured on 2026-01-02.", m.String())
	m.Cores = 1
	require.Contains(t, m.String(), "1 core,")

	here := thisMachine(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))
	require.Positive(t, here.Cores)
	require.Equal(t, "2026-01-02", here.Date)
	require.Contains(t, here.Kernel, "Linux")
}

func TestCPUModel(t *testing.T) {
	require.Equal(t, "Example CPU @ 2.00GHz", cpuModel([]byte("processor\t: 0\nmodel name\t: Example  CPU @ 2.00GHz\nmodel name\t: other\n")))
	require.Empty(t, cpuModel([]byte("processor\t: 0\nBogoMIPS\t: 50.00\n")))
}
