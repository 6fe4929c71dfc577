package credential

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var serviceKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

// serviceAccount is the key file of a service account whose tokens come from tokenURI.
func serviceAccount(t *testing.T, tokenURI string, more map[string]string) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(serviceKey())
	require.NoError(t, err)
	members := map[string]string{
		"type": "service_account", "client_email": "robot@p.iam.gserviceaccount.com", "private_key_id": "1", "token_uri": tokenURI,
		"private_key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
	}
	for name, value := range more {
		members[name] = value
	}
	content, err := json.Marshal(members)
	require.NoError(t, err)
	return writeFile(t, string(content))
}

// claims checks the assertion that a token is asked with, and returns what it says.
func claims(r *http.Request) (map[string]any, error) {
	parts := strings.Split(r.PostFormValue("assertion"), ".")
	if len(parts) != 3 {
		return nil, fmt.Errorf("%d parts", len(parts))
	}
	signed, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	if err := rsa.VerifyPKCS1v15(&serviceKey().PublicKey, crypto.SHA256, sum[:], signed); err != nil {
		return nil, err
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return nil, err
	}
	var c map[string]any
	return c, json.Unmarshal(payload, &c)
}

// tokenService gives out token1, token2 and so on, each for as long as lasts says.
func tokenService(t *testing.T, lasts *atomic.Int64) *service {
	var count atomic.Int64
	var s *service
	s = newService(t, func(w http.ResponseWriter, r *http.Request) {
		c, err := claims(r)
		if err != nil || c["scope"] != "https://www.googleapis.com/auth/cloud-platform" || c["aud"] != s.URL || c["iss"] != "robot@p.iam.gserviceaccount.com" {
			answerJSON(w, 400, map[string]string{"error": "invalid_grant"})
			return
		}
		answerJSON(w, 200, map[string]any{"access_token": fmt.Sprintf("token%d", count.Add(1)), "token_type": "Bearer", "expires_in": lasts.Load()})
	})
	return s
}

func newGoogle(t *testing.T) *googleSource {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	s, err := Google(ctx)
	require.NoError(t, err)
	return s.(*googleSource)
}

func authorization(t *testing.T, s Source) string {
	t.Helper()
	fields, err := s.Fields(t.Context(), Request{})
	require.NoError(t, err)
	return field(fields, "Authorization")
}

func TestServiceAccountGetsOneTokenForAll(t *testing.T) {
	var lasts atomic.Int64
	lasts.Store(3600)
	tokens := tokenService(t, &lasts)
	bareMachine(t, map[string]string{"GOOGLE_APPLICATION_CREDENTIALS": serviceAccount(t, tokens.URL, nil)})
	s := newGoogle(t)
	require.Zero(t, tokens.asked.Load(), "nothing is looked for before it is needed")
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			fields, err := s.Fields(t.Context(), Request{})
			if err != nil || len(fields) != 1 || fields[0].Value != "Bearer token1" {
				t.Errorf("fields %v, error %v", fields, err)
			}
		})
	}
	all.Wait()
	require.Equal(t, int64(1), tokens.asked.Load())
}

func TestTokenIsRenewedWhileItIsStillGood(t *testing.T) {
	var lasts atomic.Int64
	lasts.Store(100) // less than googleEarly
	tokens := tokenService(t, &lasts)
	bareMachine(t, map[string]string{"GOOGLE_APPLICATION_CREDENTIALS": serviceAccount(t, tokens.URL, nil)})
	s := newGoogle(t)
	require.Equal(t, "Bearer token1", authorization(t, s))
	lasts.Store(3600)
	release := tokens.hold()
	require.Equal(t, "Bearer token1", authorization(t, s), "nobody waits for the new one")
	<-tokens.entered
	require.Equal(t, "Bearer token1", authorization(t, s))
	release()
	require.Eventually(t, func() bool { return authorization(t, s) == "Bearer token2" }, 10*time.Second, time.Millisecond)
	require.Equal(t, int64(2), tokens.asked.Load())
}

func TestTokenThatExpiredIsNotUsed(t *testing.T) {
	var lasts atomic.Int64
	lasts.Store(20) // less than googleReserve
	tokens := tokenService(t, &lasts)
	bareMachine(t, map[string]string{"GOOGLE_APPLICATION_CREDENTIALS": serviceAccount(t, tokens.URL, nil)})
	s := newGoogle(t)
	require.Equal(t, "Bearer token1", authorization(t, s))
	require.Equal(t, "Bearer token2", authorization(t, s))
}

func TestMetadataServer(t *testing.T) {
	meta := newService(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Metadata-Flavor", "Google")
		switch {
		case r.Header.Get("Metadata-Flavor") != "Google":
			w.WriteHeader(http.StatusForbidden)
		case strings.HasSuffix(r.URL.Path, "/project/project-id"):
			_, _ = w.Write([]byte("p"))
		case strings.HasSuffix(r.URL.Path, "/instance/service-accounts/default/token"):
			answerJSON(w, 200, map[string]any{"access_token": "instance", "token_type": "Bearer", "expires_in": 3600})
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	})
	bareMachine(t, map[string]string{"GCE_METADATA_HOST": meta.host()})
	s := newGoogle(t)
	require.Zero(t, meta.asked.Load())
	require.Equal(t, "Bearer instance", authorization(t, s))
	before := meta.asked.Load()
	require.Equal(t, "Bearer instance", authorization(t, s))
	require.Equal(t, before, meta.asked.Load())
}

func TestProjectThatPaysIsNamed(t *testing.T) {
	var lasts atomic.Int64
	lasts.Store(3600)
	tokens := tokenService(t, &lasts)
	f := func(file, variable, want string) {
		t.Helper()
		bareMachine(t, map[string]string{
			"GOOGLE_APPLICATION_CREDENTIALS": serviceAccount(t, tokens.URL, map[string]string{"quota_project_id": file}),
			"GOOGLE_CLOUD_QUOTA_PROJECT":     variable,
		})
		fields, err := newGoogle(t).Fields(t.Context(), Request{})
		require.NoError(t, err)
		require.Equal(t, want, field(fields, "X-Goog-User-Project"))
	}
	f("", "", "")
	f("pays", "", "pays")
	f("pays", "pays-instead", "pays-instead")
	f("pays\r\nX-Evil: 1", "", "")
}

func TestClientThatLeavesEndsItsWaitForAToken(t *testing.T) {
	var lasts atomic.Int64
	lasts.Store(3600)
	tokens := tokenService(t, &lasts)
	bareMachine(t, map[string]string{"GOOGLE_APPLICATION_CREDENTIALS": serviceAccount(t, tokens.URL, nil)})
	s := newGoogle(t)
	release := tokens.hold()
	ctx, cancel := context.WithCancel(t.Context())
	left := make(chan error)
	go func() {
		_, err := s.Fields(ctx, Request{})
		left <- err
	}()
	<-tokens.entered
	cancel()
	require.ErrorIs(t, <-left, context.Canceled)
	release()
	require.Equal(t, "Bearer token1", authorization(t, s), "the fetch went on and counts")
	require.Equal(t, int64(1), tokens.asked.Load())
}

func TestGoogleErrorsNameTheCauseAndNoSecret(t *testing.T) {
	const canary = "CANARY"
	f := func(want string, env map[string]string) {
		t.Helper()
		bareMachine(t, env)
		_, err := newGoogle(t).Fields(t.Context(), Request{})
		require.EqualError(t, err, "getting a Google access token: "+want)
		var e *Error
		require.ErrorAs(t, err, &e)
	}
	account := func(answer http.HandlerFunc) map[string]string {
		return map[string]string{"GOOGLE_APPLICATION_CREDENTIALS": serviceAccount(t, newService(t, answer).URL, nil)}
	}
	f("the token service answered 400", account(func(w http.ResponseWriter, r *http.Request) {
		answerJSON(w, 400, map[string]string{"error": "invalid_grant", "error_description": canary})
	}))
	f("what was found cannot be part of a request", account(func(w http.ResponseWriter, r *http.Request) {
		answerJSON(w, 200, map[string]any{"access_token": "a\r\nX-Evil: " + canary, "expires_in": 3600})
	}))
	f("what was found cannot be part of a request", account(func(w http.ResponseWriter, r *http.Request) { answerJSON(w, 200, map[string]any{}) }))
	useless := "none were found, or what was found cannot be used; gcloud auth application-default print-access-token says more"
	f(useless, account(func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write([]byte(canary)) }))
	f(useless, map[string]string{"GOOGLE_APPLICATION_CREDENTIALS": writeFile(t, `{"type":"`+canary+`"}`)})

	closed := newService(t, func(http.ResponseWriter, *http.Request) {})
	closed.Close()
	f("connection refused", map[string]string{"GOOGLE_APPLICATION_CREDENTIALS": serviceAccount(t, closed.URL, nil)})

	none := newService(t, func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusNotFound) })
	f("the metadata server knows no service account", map[string]string{"GCE_METADATA_HOST": none.host()})
	forbidden := newService(t, func(w http.ResponseWriter, r *http.Request) { http.Error(w, canary, http.StatusForbidden) })
	f("the metadata server answered 403", map[string]string{"GCE_METADATA_HOST": forbidden.host()})
}

func TestCredentialsFileIsLookedAtAtTheStart(t *testing.T) {
	f := func(file, want string) {
		t.Helper()
		bareMachine(t, map[string]string{"GOOGLE_APPLICATION_CREDENTIALS": file})
		_, err := Google(t.Context())
		require.EqualError(t, err, "getting a Google access token: "+want)
	}
	f(filepath.Join(t.TempDir(), "absent"), "the file that GOOGLE_APPLICATION_CREDENTIALS names cannot be read")
	f(writeFile(t, "CANARY"), "the file that GOOGLE_APPLICATION_CREDENTIALS names holds no JSON")
}
