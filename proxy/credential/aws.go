package credential

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials/ssocreds"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/logging"
)

const (
	opAWS = "getting AWS credentials"
	// awsEarly is how long before they expire credentials are renewed; the services
	// hand out new ones by then. Of that time awsReserve is left when a request starts
	// to wait for the renewal.
	awsEarly   = 5 * time.Minute
	awsReserve = time.Minute
	// awsReread is how often files and variables are looked at again that state no
	// end: tools that rotate keys rewrite the shared files.
	awsReread = time.Minute
)

// AWS signs requests with AWS credentials (Signature Version 4, in header fields).
// They are found as the AWS tools find them: environment, shared files, single
// sign-on, web identity, container, instance metadata. The end of ctx ends whatever is
// being fetched.
func AWS(ctx context.Context, region, service string) (Source, error) {
	if !scopePart.MatchString(region) || !scopePart.MatchString(service) {
		return nil, fmt.Errorf("preparing AWS signatures: %q and %q are not a region and a service", region, service)
	}
	s := &awsSource{region: region, service: service, signer: v4.NewSigner()}
	s.credentials.prepare(ctx, opAWS, s.fetch)
	return s, nil
}

var scopePart = regexp.MustCompile(`^[a-z0-9-]+$`)

type awsSource struct {
	region, service string
	signer          *v4.Signer
	credentials     renewed[aws.Credentials]
	// chain is where credentials come from, nil until that is worked out. Only fetch
	// touches it.
	chain *aws.CredentialsCache
}

func (s *awsSource) Fields(ctx context.Context, r Request) ([]Field, error) {
	credentials, err := s.credentials.get(ctx)
	if err != nil {
		return nil, err
	}
	return s.sign(ctx, credentials, r)
}

// signatureFields are what SignHTTP adds.
var signatureFields = []string{"X-Amz-Date", "X-Amz-Security-Token", "Authorization"}

func (s *awsSource) sign(ctx context.Context, c aws.Credentials, r Request) ([]Field, error) {
	if r.Time.IsZero() {
		r.Time = time.Now()
	}
	body := sha256.Sum256(r.Body)
	req := &http.Request{Method: r.Method, URL: signedURL(r), Host: r.Host, Header: http.Header{}}
	if err := s.signer.SignHTTP(ctx, c, req, hex.EncodeToString(body[:]), s.service, s.region, r.Time); err != nil {
		return nil, &Error{Op: "signing a request", Detail: "the signature cannot be made"}
	}
	fields := make([]Field, 0, len(signatureFields))
	for _, name := range signatureFields {
		if value := req.Header.Get(name); value != "" {
			fields = append(fields, Field{name, value})
		}
	}
	return fields, nil
}

// signedURL holds the target as it is sent: parsing it would change the escapes of
// some paths. It has no scheme, or else the signer would take the usual port off the
// host.
func signedURL(r Request) *url.URL {
	path, query, _ := strings.Cut(r.Target, "?")
	if _, rest, absolute := strings.Cut(path, "://"); absolute {
		_, path, _ = strings.Cut(rest, "/")
		path = "/" + path
	}
	return &url.URL{Host: r.Host, Opaque: "//" + r.Host + path, RawQuery: query}
}

// fetch gets credentials from the first place that has some.
func (s *awsSource) fetch(ctx context.Context) (*lease[aws.Credentials], error) {
	if s.chain == nil {
		chain, err := s.loadChain(ctx)
		if err != nil {
			return nil, awsError(err, false)
		}
		s.chain = chain
	}
	chain := s.chain
	chain.Invalidate() // or else it keeps what it has until the very end
	credentials, err := chain.Retrieve(ctx)
	if err != nil || !credentials.CanExpire {
		s.chain = nil // look at files and variables again next time
	}
	switch {
	case err != nil:
		return nil, awsError(err, slices.Contains(chain.ProviderSources(), aws.CredentialSourceIMDS))
	case !fieldValue(credentials.AccessKeyID) || !fieldValue(credentials.SessionToken):
		return nil, &Error{Op: opAWS, Detail: "what was found cannot be part of a request"}
	case !credentials.CanExpire:
		return &lease[aws.Credentials]{value: credentials, renew: time.Now().Add(awsReread)}, nil
	}
	end := credentials.Expires
	return &lease[aws.Credentials]{value: credentials, renew: end.Add(-awsEarly), end: end.Add(-awsReserve)}, nil
}

// loadChain works out where credentials come from. It reads files and variables, and
// asks no service.
func (s *awsSource) loadChain(ctx context.Context) (*aws.CredentialsCache, error) {
	client := awshttp.NewBuildableClient().
		WithTimeout(callLimit).
		WithDialerOptions(func(d *net.Dialer) { d.Timeout = connectLimit }).
		// Calls are an hour apart, no server keeps a connection for that long.
		WithTransportOptions(func(t *http.Transport) { t.DisableKeepAlives = true })
	cfg, err := config.LoadDefaultConfig(ctx,
		config.WithRegion(s.region),
		config.WithHTTPClient(client),
		config.WithRetryer(func() aws.Retryer { return retry.AddWithMaxAttempts(retry.NewStandard(), 2) }),
		config.WithLogger(logging.Nop{}),
		// The end is needed as it is; what is early is said here.
		config.WithCredentialsCacheOptions(func(o *aws.CredentialsCacheOptions) { o.ExpiryWindow = 0 }),
	)
	if err != nil {
		return nil, err
	}
	chain, ok := cfg.Credentials.(*aws.CredentialsCache)
	if !ok {
		chain = aws.NewCredentialsCache(cfg.Credentials)
	}
	return chain, nil
}

// awsError names what is wrong with the credentials. lastResort means that nothing
// was configured, so that instance metadata had to be asked.
func awsError(err error, lastResort bool) *Error {
	var (
		profile  config.SharedConfigProfileNotExistError
		file     config.SharedConfigLoadError
		session  *ssocreds.InvalidTokenError
		api      smithy.APIError
		response interface{ HTTPStatusCode() int }
		e        *Error
	)
	switch {
	case errors.As(err, &profile):
		e = &Error{Op: opAWS, Detail: "the profile that AWS_PROFILE names is not in the shared files"}
	case errors.As(err, &file):
		e = &Error{Op: opAWS, Detail: "the shared files cannot be read"}
	case errors.As(err, &session):
		e = &Error{Op: opAWS, Detail: "the single sign-on session has ended; aws sso login begins a new one"}
	case errors.As(err, &api) || errors.As(err, &response):
		status, code := 0, ""
		if errors.As(err, &response) {
			status = response.HTTPStatusCode()
		}
		if api != nil {
			code = api.ErrorCode()
		}
		e = answered(opAWS, "the service for credentials", status, code)
	default:
		e = plainError(opAWS, err)
	}
	if e == nil {
		e = &Error{Op: opAWS, Detail: "what was found cannot be used; aws sts get-caller-identity says more"}
	}
	if lastResort && !errors.Is(e, context.Canceled) {
		e.Detail = "none in the environment or the shared files, and from instance metadata: " + e.Detail
	}
	return e
}
