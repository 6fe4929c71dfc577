package main

import (
	"encoding/json"
	"runtime"
	"runtime/debug"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestVersionAsText(t *testing.T) {
	got := execute(t, "version")
	require.Equal(t, exitOK, got.code)
	require.Regexp(t, `^sluice \S+.*, go\S+ .*/.*\n$`, got.stdout)
}

func TestVersionAsJSON(t *testing.T) {
	got := execute(t, "version", "--json")
	require.Equal(t, exitOK, got.code)
	var b build
	require.NoError(t, json.Unmarshal([]byte(got.stdout), &b))
	require.NotEmpty(t, b.Version)
	require.Equal(t, runtime.Version(), b.GoVersion)
	require.Equal(t, runtime.GOOS+"/"+runtime.GOARCH, b.Platform)
}

func TestBuildInfoFillsWhatIsNotLinked(t *testing.T) {
	info := &debug.BuildInfo{Main: debug.Module{Version: "v1.2.3"}, Settings: []debug.BuildSetting{
		{Key: "vcs.revision", Value: "0123456789abcdef"}, {Key: "vcs.time", Value: "2026-01-02T03:04:05Z"}, {Key: "vcs.modified", Value: "true"},
	}}
	b := build{GoVersion: "go1", Platform: "a/b"}
	b.complete(info)
	require.Equal(t, "sluice 1.2.3 commit 0123456789ab (modified) of 2026-01-02T03:04:05Z, go1 a/b", b.String())

	linked := build{Version: "9", Commit: "c", Date: "d"}
	linked.complete(info)
	require.Equal(t, build{Version: "9", Commit: "c", Date: "d", Modified: true}, linked)

	devel := build{}
	devel.complete(&debug.BuildInfo{Main: debug.Module{Version: "(devel)"}})
	require.Empty(t, devel.Version)
}
