package credential

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

// A lookup of instance metadata that nobody waits for any more goes on inside the SDK
// until its own retries are used up.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/aws/aws-sdk-go-v2/internal/sync/singleflight.(*Group).doCall"))
}

// bareMachine removes what the environment of the test knows of any cloud, and sets
// what the test wants.
func bareMachine(t *testing.T, env map[string]string) {
	t.Helper()
	for _, pair := range os.Environ() {
		name, _, _ := strings.Cut(pair, "=")
		for _, prefix := range []string{"AWS_", "GOOGLE_", "GCE_", "CLOUDSDK_"} {
			if strings.HasPrefix(name, prefix) {
				t.Setenv(name, "") // has it restored
				require.NoError(t, os.Unsetenv(name))
			}
		}
	}
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("AWS_CONFIG_FILE", filepath.Join(home, "config"))
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", filepath.Join(home, "credentials"))
	for name, value := range env {
		t.Setenv(name, value)
	}
}

// service is a local server that counts what it is asked. It can hold its answers
// back.
type service struct {
	*httptest.Server
	asked   atomic.Int64
	holding atomic.Pointer[chan struct{}]
	entered chan struct{} // one value for every held request
}

func newService(t *testing.T, answer http.HandlerFunc) *service {
	t.Helper()
	s := &service{entered: make(chan struct{}, 100)}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.asked.Add(1)
		if gate := s.holding.Load(); gate != nil {
			s.entered <- struct{}{}
			<-*gate
		}
		answer(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

// hold makes requests wait until the returned function is called.
func (s *service) hold() (release func()) {
	gate := make(chan struct{})
	s.holding.Store(&gate)
	return func() {
		s.holding.Store(nil)
		close(gate)
	}
}

func (s *service) host() string { return strings.TrimPrefix(s.URL, "http://") }

func answerJSON(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(value)
}

func writeFile(t *testing.T, content string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(name, []byte(content), 0o600))
	return name
}

func field(fields []Field, name string) string {
	for _, f := range fields {
		if f.Name == name {
			return f.Value
		}
	}
	return ""
}
