package proxy

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/config"
	"github.com/sluicehq/sluice/internal/fakeprovider"
)

// cloud is a service that gives out the credentials of a machine. It holds each request
// back until the test has sent its status into answers.
type cloud struct {
	*httptest.Server
	name    string
	entered chan struct{}
	answers chan int
}

// What the services of a cloud know and nobody else may.
const (
	googleToken   = "canary-google-token"
	awsKeyID      = "CANARYAWSKEYID"
	awsSecret     = "canary-aws-secret"
	awsSession    = "canary-aws-session"
	refreshToken  = "canary-refresh-token"
	clientSecret  = "canary-client-secret"
	serviceAnswer = "canary-service-answer"
)

// newCloud sets the environment up for one cloud, google or aws.
func newCloud(t *testing.T, name string) *cloud {
	c := &cloud{name: name, entered: make(chan struct{}, 100), answers: make(chan int, 100)}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // else the context outlives its client
		c.entered <- struct{}{}
		var status int
		select {
		case status = <-c.answers:
		case <-r.Context().Done():
			return
		}
		body := map[string]any{"error": serviceAnswer, "error_description": serviceAnswer, "Code": serviceAnswer, "Message": serviceAnswer}
		if status == http.StatusOK && name == "google" {
			body = map[string]any{"access_token": googleToken, "token_type": "Bearer", "expires_in": 3600}
		} else if status == http.StatusOK {
			body = map[string]any{
				"AccessKeyId": awsKeyID, "SecretAccessKey": awsSecret, "Token": awsSession,
				"Expiration": time.Now().Add(time.Hour).UTC().Format(time.RFC3339),
			}
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(body)
	}))
	t.Cleanup(c.Close)
	for _, pair := range os.Environ() {
		variable, _, _ := strings.Cut(pair, "=")
		if strings.HasPrefix(variable, "AWS_") || strings.HasPrefix(variable, "GOOGLE_") {
			t.Setenv(variable, "") // has it restored
			require.NoError(t, os.Unsetenv(variable))
		}
	}
	home := t.TempDir()
	t.Setenv("HOME", home)
	if name == "google" {
		file := filepath.Join(home, "credentials.json")
		content, err := json.Marshal(map[string]string{
			"type": "authorized_user", "client_id": "id", "client_secret": clientSecret, "refresh_token": refreshToken, "token_uri": c.URL,
		})
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(file, content, 0o600))
		t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", file)
	} else {
		t.Setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", c.URL+"/role")
	}
	return c
}

// voices speak to providers that the cloud's credentials are for.
func (c *cloud) voices() []*fakeprovider.Voice {
	if c.name == "google" {
		return []*fakeprovider.Voice{{Dialect: "gemini"}, {Dialect: "anthropic"}}
	}
	return []*fakeprovider.Voice{{Dialect: "bedrock"}, {Dialect: "anthropic", Enveloped: true}}
}

// using makes the provider of a rig one that is called with the credentials of the
// machine.
func (c *cloud) using(v *fakeprovider.Voice) func(*config.Config) {
	return func(cfg *config.Config) {
		speaking(v)(cfg)
		p := &cfg.Providers[0]
		p.APIKey = ""
		if c.name == "google" {
			p.Platform, p.Project = config.PlatformVertex, "project-1"
		}
	}
}

// inEveryCloud runs a test once for each cloud and dialect there.
func inEveryCloud(t *testing.T, test func(t *testing.T, c *cloud, v *fakeprovider.Voice)) {
	for _, name := range []string{"google", "aws"} {
		for i := range 2 {
			t.Run(fmt.Sprint(name, i), func(t *testing.T) {
				c := newCloud(t, name)
				test(t, c, c.voices()[i])
			})
		}
	}
}

// A client that leaves, or cancels, while a credential is fetched for its request has
// started nothing at the provider. The fetch goes on, and the next request has it.
// rows A3, A17
func TestClientGoneWhileACredentialIsFetched(t *testing.T) {
	inEveryCloud(t, func(t *testing.T, cloud *cloud, v *fakeprovider.Voice) {
		r := newRig(t, cloud.using(v))
		r.up.Handle(saying(v))
		n := 0
		for kind, body := range bothKinds {
			for _, d := range departures {
				n++
				c := r.dial()
				id := fmt.Sprint("gone", n)
				c.send("POST", chatPath, body, "X-Request-Id: "+id)
				r.inPhase(accounting.PhaseConnect)
				if n == 1 {
					<-cloud.entered
				}
				d.leave(c)
				rec := r.record(id)
				requireClientGone(t, rec, accounting.PhaseConnect)
				requireNeverRan(t, rec)
				r.allEnded() // the next in the phase is the next request
			}
			n++
			c := r.dial()
			id := fmt.Sprint("cancelled", n)
			c.send("POST", chatPath, body, "X-Request-Id: "+id)
			r.inPhase(accounting.PhaseConnect)
			r.cancel(id)
			if p := read(c.response()); kind == "stream" {
				p.requireWhole(t)
			} else {
				p.requireError(t, 499, "cancelled")
			}
			requireNeverRan(t, r.record(id))
			r.allEnded()
		}
		require.Zero(t, r.up.Conns())
		require.NotContains(t, r.logs.String(), "no credential", "nobody waited for it")

		cloud.answers <- http.StatusOK
		p, rec := r.askAs("next", chatWithTool)
		requireStreamSaid(t, v, p, rec)
		require.Empty(t, cloud.entered, "it was fetched more than once")
		authorization := r.up.WaitExchange(1).Request.Get("Authorization")
		if cloud.name == "google" {
			require.Equal(t, "Bearer "+googleToken, authorization)
		} else {
			require.Contains(t, authorization, "Credential="+awsKeyID+"/")
			require.Equal(t, awsSession, r.up.WaitExchange(1).Request.Get("X-Amz-Security-Token"))
		}
		requireNoCanary(t, r, p, rec)
	})
}

// Without a credential there is no call, and nobody learns what the service that should
// give it out has said.
func TestCredentialThatCannotBeHad(t *testing.T) {
	inEveryCloud(t, func(t *testing.T, cloud *cloud, v *fakeprovider.Voice) {
		r := newRig(t, cloud.using(v))
		for range 50 { // it may be tried again
			cloud.answers <- http.StatusForbidden
		}
		for kind, body := range bothKinds {
			p, rec := r.askAs(kind, withCanaries(body), "Authorization: Bearer "+canaryClientKey)
			p.requireError(t, 502, "upstream_credentials")
			requireEnded(t, rec, accounting.OutcomeUpstreamError, accounting.PhaseConnect, "upstream_credentials")
			requireNeverRan(t, rec)
			require.Equal(t, 502, rec.StatusDownstream)
			require.Contains(t, r.logs.String(), "no credential for a provider")
			requireNoCanary(t, r, p, rec)
		}
		require.Zero(t, r.up.Conns())
	})
}
