package credential

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"os"
	"regexp"
	"time"

	"cloud.google.com/go/compute/metadata"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/google"
)

const (
	opGoogle = "getting a Google access token"
	// googleScope lets the token call any API its account may call.
	googleScope = "https://www.googleapis.com/auth/cloud-platform"
	// googleEarly is how long before it expires a token is renewed. The metadata
	// server gives out the same token until five minutes before its end. Of that time
	// googleReserve is left when a request starts to wait for the renewal.
	googleEarly   = 225 * time.Second
	googleReserve = 30 * time.Second
)

// Google sends an access token from Google's application default credentials: the file
// that GOOGLE_APPLICATION_CREDENTIALS names, the one that gcloud keeps, or the metadata
// server. The end of ctx ends whatever is being fetched. The error says that the
// variable names a file that is no use.
func Google(ctx context.Context) (Source, error) {
	if name := os.Getenv("GOOGLE_APPLICATION_CREDENTIALS"); name != "" {
		content, err := os.ReadFile(name)
		switch {
		case err != nil:
			return nil, &Error{Op: opGoogle, Detail: "the file that GOOGLE_APPLICATION_CREDENTIALS names cannot be read"}
		case !json.Valid(content):
			return nil, &Error{Op: opGoogle, Detail: "the file that GOOGLE_APPLICATION_CREDENTIALS names holds no JSON"}
		}
	}
	s := &googleSource{transport: http.DefaultTransport.(*http.Transport).Clone()}
	s.transport.DialContext = (&net.Dialer{Timeout: connectLimit}).DialContext
	s.transport.DisableKeepAlives = true // calls are an hour apart
	s.tokens.prepare(ctx, opGoogle, s.fetch)
	return s, nil
}

type googleSource struct {
	transport *http.Transport
	tokens    renewed[[]Field]
}

func (s *googleSource) Fields(ctx context.Context, _ Request) ([]Field, error) {
	return s.tokens.get(ctx)
}

// fetch reads the credentials anew every time, because they belong to the context of
// the fetch, and because files change.
func (s *googleSource) fetch(ctx context.Context) (*lease[[]Field], error) {
	wire := &witness{next: s.transport}
	ctx = context.WithValue(ctx, oauth2.HTTPClient, &http.Client{Transport: wire, Timeout: callLimit})
	credentials, err := google.FindDefaultCredentials(ctx, googleScope)
	if err != nil {
		return nil, googleError(ctx, err, wire)
	}
	token, err := credentials.TokenSource.Token()
	if err != nil {
		return nil, googleError(ctx, err, wire)
	}
	if token.AccessToken == "" || !fieldValue(token.AccessToken) {
		return nil, &Error{Op: opGoogle, Detail: "what was found cannot be part of a request"}
	}
	fields := []Field{{"Authorization", "Bearer " + token.AccessToken}}
	if project := quotaProject(credentials.JSON); project != "" {
		fields = append(fields, Field{"X-Goog-User-Project", project})
	}
	l := &lease[[]Field]{value: fields}
	if !token.Expiry.IsZero() {
		l.renew, l.end = token.Expiry.Add(-googleEarly), token.Expiry.Add(-googleReserve)
	} else {
		l.renew = time.Now().Add(time.Hour)
	}
	return l, nil
}

var projectID = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9.:_-]*$`)

// quotaProject is the project that pays for calls of a person, whose credentials
// belong to none. The variable is that of Google's own clients.
func quotaProject(credentials []byte) string {
	var file struct {
		QuotaProject string `json:"quota_project_id"`
	}
	project := os.Getenv("GOOGLE_CLOUD_QUOTA_PROJECT")
	if project == "" && json.Unmarshal(credentials, &file) == nil {
		project = file.QuotaProject
	}
	if !projectID.MatchString(project) {
		return ""
	}
	return project
}

// witness remembers how the last call failed: the oauth2 package turns that into
// text on the way.
type witness struct {
	next http.RoundTripper
	err  error
}

func (w *witness) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := w.next.RoundTrip(r)
	w.err = err
	return response, err
}

func googleError(ctx context.Context, err error, wire *witness) *Error {
	var (
		refused   *oauth2.RetrieveError
		meta      *metadata.Error
		undefined metadata.NotDefinedError
	)
	switch {
	case ctx.Err() != nil:
		return plainError(opGoogle, ctx.Err())
	case errors.As(err, &refused):
		status := 0
		if refused.Response != nil {
			status = refused.Response.StatusCode
		}
		return answered(opGoogle, "the token service", status, refused.ErrorCode)
	case errors.As(err, &meta):
		return answered(opGoogle, "the metadata server", meta.Code, "")
	case errors.As(err, &undefined):
		return &Error{Op: opGoogle, Detail: "the metadata server knows no service account"}
	}
	return plainErrorOr(opGoogle, errors.Join(err, wire.err),
		"none were found, or what was found cannot be used; gcloud auth application-default print-access-token says more")
}
