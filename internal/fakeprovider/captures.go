package fakeprovider

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// Capture is one recorded answer of a real provider.
type Capture struct {
	Provider, Name string
	Meta           CaptureMeta
	Request        []byte // nil where it was not recorded
	Response       []byte
	Path           string // folder of the recording
}

// CaptureMeta is what a recording says about itself.
type CaptureMeta struct {
	API          string            `json:"api"`
	Model        string            `json:"model"`
	Status       int               `json:"status"`
	Container    string            `json:"container"` // sse, ndjson, bin, json
	Features     []string          `json:"features"`
	Fidelity     string            `json:"fidelity"`
	URLPath      string            `json:"url_path"`
	Headers      map[string]string `json:"response_headers"`
	ResponseFile string            `json:"response_file"`
}

// Has reports whether the recording is labelled with feature.
func (m CaptureMeta) Has(feature string) bool { return slices.Contains(m.Features, feature) }

// Captures loads the recordings of the given formats ("openai-chat", …) that lie in
// a folder beside the repository, all of them without any, in the order of their
// paths. Without the folder the test is skipped, saying so.
func Captures(tb testing.TB, folder string, api ...string) []Capture {
	tb.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*", "*", "meta.json"))
	if err != nil || len(files) == 0 {
		tb.Skip("the recordings of provider traffic are not here")
	}
	var found []Capture
	for _, file := range files {
		c := loadCapture(tb, filepath.Dir(file))
		if len(api) == 0 || slices.Contains(api, c.Meta.API) {
			found = append(found, c)
		}
	}
	return found
}

func loadCapture(tb testing.TB, folder string) Capture {
	tb.Helper()
	c := Capture{Provider: filepath.Base(filepath.Dir(folder)), Name: filepath.Base(folder), Path: folder}
	meta, err := os.ReadFile(filepath.Join(folder, "meta.json"))
	if err == nil {
		err = json.Unmarshal(meta, &c.Meta)
	}
	if err == nil {
		c.Response, err = os.ReadFile(filepath.Join(folder, c.Meta.ResponseFile))
	}
	if err == nil {
		c.Request, err = os.ReadFile(filepath.Join(folder, "request.json"))
		if errors.Is(err, fs.ErrNotExist) {
			c.Request, err = nil, nil
		}
	}
	if err != nil {
		tb.Fatalf("loading the recording %s/%s: %v", c.Provider, c.Name, err)
	}
	return c
}
