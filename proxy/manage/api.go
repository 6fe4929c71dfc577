// Package manage is the part of the admin listener that manages keys and answers what was
// used.
//
// Whoever the listener lets in may ask for usage, as for the metrics: both show aliases, names
// and counts, and nothing of a client's data. Keys are managed with the key of an
// administrator, from wherever the listener can be reached.
package manage

import (
	"context"
	_ "embed" // for the description of the API
	"encoding/json"
	"errors"
	"log/slog"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/sluicehq/sluice/accounting/ledger"
	"github.com/sluicehq/sluice/proxy/access"
	"github.com/sluicehq/sluice/translate"
)

// OpenAPI describes both listeners of sluice, as far as they are not those of a provider, in
// OpenAPI 3.1 as YAML.
//
//go:embed openapi.yaml
var OpenAPI []byte

// Options of an API.
type Options struct {
	// Books are nil where the ledger is in memory: then there is no usage to ask for, and
	// no place for keys.
	Books *ledger.Books
	// Keys tell who is an administrator. They are refreshed after each change.
	Keys *access.Keyring
	// Changed is called after each change of keys; nil for nobody to be told.
	Changed func()
	// Logger is nil for none.
	Logger *slog.Logger
}

// API answers the requests of the management API. Its methods are safe for concurrent use.
type API struct {
	Options
	asking chan struct{} // held by those who ask for usage
}

// New returns an API.
func New(o Options) *API {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Changed == nil {
		o.Changed = func() {}
	}
	return &API{Options: o, asking: make(chan struct{}, usageAtOnce)}
}

// keysPath is the list of keys; each has its own path below.
const keysPath = "/v1/keys"

// Handle answers a request. It returns false, and does nothing, if its path is none of the
// API.
func (a *API) Handle(rc *fasthttp.RequestCtx) bool {
	path := string(rc.Path())
	switch below, isKey := strings.CutPrefix(path, keysPath+"/"); {
	case path == "/openapi.yaml":
		a.get(rc, a.describe)
	case path == "/v1/usage":
		a.get(rc, a.usage)
	case path == keysPath:
		a.keys(rc)
	case isKey:
		a.key(rc, below)
	default:
		return false
	}
	return true
}

// describe serves the description of the API.
func (a *API) describe(rc *fasthttp.RequestCtx) error {
	rc.SetContentType("application/yaml") // RFC 9512
	rc.SetBody(OpenAPI)
	return nil
}

// get serves a page that can only be read.
func (a *API) get(rc *fasthttp.RequestCtx, page func(*fasthttp.RequestCtx) error) {
	if !rc.IsGet() && !rc.IsHead() {
		wrongMethod(rc, "GET, HEAD")
		return
	}
	if err := page(rc); err != nil {
		a.refuse(rc, err)
	}
}

func wrongMethod(rc *fasthttp.RequestCtx, allow string) {
	rc.Response.Header.Set("Allow", allow)
	writeError(rc, translate.NewError(translate.CodeMethodNotAllowed))
}

// refuse answers with an error: one for the client, or one of the database, which is only
// logged.
func (a *API) refuse(rc *fasthttp.RequestCtx, err error) {
	var told *translate.Error
	if !errors.As(err, &told) {
		told = translate.NewError(translate.CodeLedgerUnavailable)
		told.Message = "The ledger cannot be reached at the moment."
		a.Logger.Error("the management API cannot reach the ledger", "path", string(rc.Path()), "error", err.Error())
	}
	writeError(rc, told)
}

func writeError(rc *fasthttp.RequestCtx, e *translate.Error) {
	if e.RetryAfter > 0 {
		rc.Response.Header.Set("Retry-After", strconv.Itoa(int(math.Ceil(e.RetryAfter.Seconds()))))
	}
	rc.SetStatusCode(e.Status)
	rc.SetContentType("application/json")
	rc.SetBody(e.AppendJSON(nil))
}

// writeJSON answers with a value.
func writeJSON(rc *fasthttp.RequestCtx, status int, value any) error {
	body, err := json.Marshal(value)
	if err != nil {
		return translate.NewError(translate.CodeInternal)
	}
	rc.SetStatusCode(status)
	rc.SetContentType("application/json")
	rc.SetBody(body)
	return nil
}

// invalidValue names a parameter or a member of the body that cannot be used, and why: a
// clause that follows its name.
func invalidValue(param, why string) *translate.Error {
	e := translate.NewError(translate.CodeInvalidValue)
	e.Message, e.Param = why, param
	if param != "" {
		e.Message = "'" + param + "': " + why
	}
	if !strings.HasSuffix(e.Message, ".") {
		e.Message += "."
	}
	return e
}

// Bounds of the time that a request may take; the listener's own are longer.
const (
	keysTime  = 10 * time.Second
	usageTime = 25 * time.Second
)

// limited bounds the time of a request. fasthttp does not tell when its client leaves.
func limited(d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), d)
}
