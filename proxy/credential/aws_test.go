package credential

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var anyRequest = Request{Method: "POST", Target: "/model/m/converse", Host: "h", Time: testTime}

func newAWS(t *testing.T) *awsSource {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	s, err := AWS(ctx, "eu-west-1", "bedrock")
	require.NoError(t, err)
	return s.(*awsSource)
}

// keyID returns the access key that a request was signed with.
func keyID(t *testing.T, s Source) string {
	t.Helper()
	fields, err := s.Fields(t.Context(), anyRequest)
	require.NoError(t, err)
	_, rest, _ := strings.Cut(field(fields, "Authorization"), "Credential=")
	id, _, _ := strings.Cut(rest, "/")
	return id
}

// temporary is the answer of the metadata services.
func temporary(id string, lasts time.Duration) map[string]string {
	return map[string]string{
		"Code": "Success", "AccessKeyId": id, "SecretAccessKey": testSecret, "Token": "session",
		"Expiration": time.Now().Add(lasts).UTC().Format(time.RFC3339),
	}
}

// instanceMetadata stands for the service of that name, whose role has credentials.
func instanceMetadata(t *testing.T, credentials func(w http.ResponseWriter)) *service {
	s := newService(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodPut && r.URL.Path == "/latest/api/token":
			w.Header().Set("X-Aws-Ec2-Metadata-Token-Ttl-Seconds", "21600")
			_, _ = w.Write([]byte("metadata-token"))
		case r.Header.Get("X-Aws-Ec2-Metadata-Token") != "metadata-token":
			w.WriteHeader(http.StatusUnauthorized)
		case strings.TrimSuffix(r.URL.Path, "/") == "/latest/meta-data/iam/security-credentials":
			_, _ = w.Write([]byte("role"))
		case r.URL.Path == "/latest/meta-data/iam/security-credentials/role":
			credentials(w)
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	})
	bareMachine(t, map[string]string{"AWS_EC2_METADATA_SERVICE_ENDPOINT": s.URL})
	return s
}

func TestInstanceMetadataIsAskedOnceForAll(t *testing.T) {
	metadata := instanceMetadata(t, func(w http.ResponseWriter) { answerJSON(w, 200, temporary("INSTANCE", time.Hour)) })
	s := newAWS(t)
	require.Zero(t, metadata.asked.Load(), "nothing is looked for before it is needed")

	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			fields, err := s.Fields(t.Context(), anyRequest)
			if err != nil || field(fields, "X-Amz-Security-Token") != "session" {
				t.Errorf("fields %v, error %v", len(fields), err)
			}
		})
	}
	all.Wait()
	require.Equal(t, "INSTANCE", keyID(t, s))
	require.Equal(t, int64(3), metadata.asked.Load(), "a token, a role, its credentials")
}

func TestContainerCredentials(t *testing.T) {
	container := newService(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "container-token" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		answerJSON(w, 200, temporary("CONTAINER", time.Hour))
	})
	bareMachine(t, map[string]string{
		"AWS_CONTAINER_CREDENTIALS_FULL_URI": container.URL + "/role",
		"AWS_CONTAINER_AUTHORIZATION_TOKEN":  "container-token",
	})
	s := newAWS(t)
	require.Equal(t, "CONTAINER", keyID(t, s))
	require.Equal(t, "CONTAINER", keyID(t, s))
	require.Equal(t, int64(1), container.asked.Load())
}

func TestWebIdentity(t *testing.T) {
	sts := newService(t, func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		if r.Form.Get("Action") != "AssumeRoleWithWebIdentity" || r.Form.Get("WebIdentityToken") != "identity-token" || r.Form.Get("RoleArn") != "arn:aws:iam::1:role/r" {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "text/xml")
		_, _ = w.Write([]byte(`<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>IDENTITY</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>session</SessionToken><Expiration>` +
			time.Now().Add(time.Hour).UTC().Format(time.RFC3339) + `</Expiration></Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>`))
	})
	bareMachine(t, map[string]string{
		"AWS_WEB_IDENTITY_TOKEN_FILE": writeFile(t, "identity-token"),
		"AWS_ROLE_ARN":                "arn:aws:iam::1:role/r",
		"AWS_ENDPOINT_URL_STS":        sts.URL,
	})
	require.Equal(t, "IDENTITY", keyID(t, newAWS(t)))
}

// Tools that rotate keys rewrite the shared file.
func TestSharedFileIsReadAgain(t *testing.T) {
	bareMachine(t, map[string]string{"AWS_PROFILE": "work"})
	write := func(id string) {
		content := "[work]\naws_access_key_id = " + id + "\naws_secret_access_key = s\n"
		require.NoError(t, os.WriteFile(os.Getenv("AWS_SHARED_CREDENTIALS_FILE"), []byte(content), 0o600))
	}
	write("FIRST")
	s := newAWS(t)
	require.Equal(t, "FIRST", keyID(t, s))
	write("SECOND")
	require.Equal(t, "FIRST", keyID(t, s))

	old := *s.credentials.current.Load()
	old.renew = time.Now().Add(-time.Second)
	s.credentials.current.Store(&old)
	require.Equal(t, "FIRST", keyID(t, s), "no request waits for it")
	require.Eventually(t, func() bool { return keyID(t, s) == "SECOND" }, 10*time.Second, time.Millisecond)
}

func TestCredentialsAreRenewedBeforeTheyExpire(t *testing.T) {
	var mu sync.Mutex
	id, lasts := "FIRST", (awsEarly+awsReserve)/2
	metadata := instanceMetadata(t, func(w http.ResponseWriter) {
		mu.Lock()
		defer mu.Unlock()
		answerJSON(w, 200, temporary(id, lasts))
	})
	s := newAWS(t)
	require.Equal(t, "FIRST", keyID(t, s))
	mu.Lock()
	id, lasts = "SECOND", time.Hour
	mu.Unlock()
	release := metadata.hold()
	require.Equal(t, "FIRST", keyID(t, s), "nobody waits for the new ones")
	<-metadata.entered
	require.Equal(t, "FIRST", keyID(t, s))
	release()
	require.Eventually(t, func() bool { return keyID(t, s) == "SECOND" }, 10*time.Second, time.Millisecond)
}

func TestCredentialsThatExpiredAreNotUsed(t *testing.T) {
	container := newService(t, nil)
	container.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		answerJSON(w, 200, temporary("NUMBER"+strconv.FormatInt(container.asked.Add(1), 10), awsReserve/2))
	})
	bareMachine(t, map[string]string{"AWS_CONTAINER_CREDENTIALS_FULL_URI": container.URL})
	s := newAWS(t)
	require.Equal(t, "NUMBER1", keyID(t, s))
	require.Equal(t, "NUMBER2", keyID(t, s))
}

func TestClientThatLeavesEndsItsWait(t *testing.T) {
	metadata := instanceMetadata(t, func(w http.ResponseWriter) { answerJSON(w, 200, temporary("INSTANCE", time.Hour)) })
	release := metadata.hold()
	s := newAWS(t)
	ctx, cancel := context.WithCancel(t.Context())
	left := make(chan error)
	go func() {
		_, err := s.Fields(ctx, anyRequest)
		left <- err
	}()
	<-metadata.entered
	stayed := make(chan string)
	go func() { stayed <- keyID(t, s) }()
	cancel()
	err := <-left
	require.ErrorIs(t, err, context.Canceled)
	require.EqualError(t, err, "getting AWS credentials: nobody waits for it any more")
	release()
	require.Equal(t, "INSTANCE", <-stayed, "who stays gets what was being fetched")

	gone, err := s.Fields(ctx, anyRequest)
	require.NoError(t, err, "nothing to wait for")
	require.NotEmpty(t, gone)
}

func TestStopEndsTheFetch(t *testing.T) {
	metadata := instanceMetadata(t, func(w http.ResponseWriter) { answerJSON(w, 200, temporary("INSTANCE", time.Hour)) })
	defer metadata.hold()()
	ctx, stop := context.WithCancel(context.Background())
	s, err := AWS(ctx, "eu-west-1", "bedrock")
	require.NoError(t, err)
	waited := make(chan error)
	go func() {
		_, err := s.Fields(t.Context(), anyRequest)
		waited <- err
	}()
	<-metadata.entered
	stop()
	require.EqualError(t, <-waited, "getting AWS credentials: sluice is stopping")
}

func TestAWSErrorsNameTheCauseAndNoSecret(t *testing.T) {
	const canary = "CANARY"
	f := func(want string, env map[string]string) {
		t.Helper()
		bareMachine(t, env)
		_, err := newAWS(t).Fields(t.Context(), anyRequest)
		require.EqualError(t, err, "getting AWS credentials: "+want)
		require.NotContains(t, err.Error(), canary)
		var e *Error
		require.ErrorAs(t, err, &e)
	}
	refusing := newService(t, func(w http.ResponseWriter, r *http.Request) {
		answerJSON(w, 403, map[string]string{"code": "AccessDenied", "message": canary})
	})
	f("the service for credentials answered 403 AccessDenied", map[string]string{"AWS_CONTAINER_CREDENTIALS_FULL_URI": refusing.URL})
	denied := newService(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/xml")
		w.WriteHeader(403)
		_, _ = w.Write([]byte(`<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>CANARY</Message></Error></ErrorResponse>`))
	})
	f("the service for credentials answered 403 AccessDenied", map[string]string{
		"AWS_WEB_IDENTITY_TOKEN_FILE": writeFile(t, canary), "AWS_ROLE_ARN": "arn:aws:iam::1:role/" + canary, "AWS_ENDPOINT_URL_STS": denied.URL,
	})
	f("what was found cannot be used; aws sts get-caller-identity says more", map[string]string{
		"AWS_WEB_IDENTITY_TOKEN_FILE": filepath.Join(t.TempDir(), canary), "AWS_ROLE_ARN": "arn:aws:iam::1:role/r", "AWS_ENDPOINT_URL_STS": denied.URL,
	})
	f("the profile that AWS_PROFILE names is not in the shared files", map[string]string{"AWS_PROFILE": canary})
	empty := newService(t, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusNotFound)
		_, _ = w.Write([]byte(canary))
	})
	f("none in the environment or the shared files, and from instance metadata: the service for credentials answered 404",
		map[string]string{"AWS_EC2_METADATA_SERVICE_ENDPOINT": empty.URL})
	f("none in the environment or the shared files, and from instance metadata: what was found cannot be used; aws sts get-caller-identity says more",
		map[string]string{"AWS_EC2_METADATA_DISABLED": "true"})
	broken := newService(t, func(w http.ResponseWriter, r *http.Request) {
		answerJSON(w, 200, map[string]string{"AccessKeyId": "A", "SecretAccessKey": canary, "Token": canary + "\r\nX-Evil: 1"})
	})
	f("what was found cannot be part of a request", map[string]string{"AWS_CONTAINER_CREDENTIALS_FULL_URI": broken.URL})
}

func TestFailureIsNotKept(t *testing.T) {
	bareMachine(t, map[string]string{"AWS_EC2_METADATA_DISABLED": "true"})
	s := newAWS(t)
	_, err := s.Fields(t.Context(), anyRequest)
	require.Error(t, err)
	require.NoError(t, os.WriteFile(os.Getenv("AWS_SHARED_CREDENTIALS_FILE"), []byte("[default]\naws_access_key_id = LATER\naws_secret_access_key = s\n"), 0o600))
	require.Equal(t, "LATER", keyID(t, s))
}

func TestRegionAndServiceMustFitTheSignature(t *testing.T) {
	for _, region := range []string{"", "a/b", "eu west", "EU-WEST-1"} {
		_, err := AWS(t.Context(), region, "bedrock")
		require.Error(t, err, region)
	}
	_, err := AWS(t.Context(), "eu-west-1", "")
	require.EqualError(t, err, `preparing AWS signatures: "eu-west-1" and "" are not a region and a service`)
}
