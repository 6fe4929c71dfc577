package manage

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"
	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/accounting"
	"github.com/sluicehq/sluice/accounting/ledger"
	"github.com/sluicehq/sluice/config"
)

// described is the description of the API, read and valid.
var described = sync.OnceValues(func() (*openapi3.T, error) {
	loader := openapi3.NewLoader()
	document, err := loader.LoadFromData(OpenAPI)
	if err != nil {
		return nil, err
	}
	return document, document.Validate(loader.Context)
})

// operations of the description by method and path, with where they are served left out.
var operations = sync.OnceValues(func() (routers.Router, error) {
	document, err := described()
	if err != nil {
		return nil, err
	}
	served := *document
	served.Servers = openapi3.Servers{{URL: "/"}}
	return legacy.NewRouter(&served)
})

// conform wants a real answer to be as described, and of a request that was taken the same.
func (r *rig) conform(request *http.Request, got answer) {
	t := r.T
	t.Helper()
	if got.status == http.StatusMethodNotAllowed || got.status == http.StatusTeapot || request.Method == http.MethodHead ||
		strings.HasSuffix(request.URL.Path, "/") { // which is the same path for the router
		return
	}
	router, err := operations()
	require.NoError(t, err)
	local := request.Clone(request.Context())
	local.URL = &url.URL{Path: request.URL.Path, RawQuery: request.URL.RawQuery}
	local.Host = ""
	if request.GetBody != nil {
		local.Body, err = request.GetBody()
		require.NoError(t, err)
	}
	route, parameters, err := router.FindRoute(local)
	if got.status == http.StatusNotFound && err != nil {
		return // a path that is none
	}
	require.NoError(t, err, "%s %s", request.Method, request.URL.Path)
	input := &openapi3filter.RequestValidationInput{
		Request: local, PathParams: parameters, Route: route,
		Options: &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, IncludeResponseStatus: true},
	}
	if got.status < http.StatusBadRequest {
		require.NoError(t, openapi3filter.ValidateRequest(t.Context(), input))
	}
	require.NoError(t, openapi3filter.ValidateResponse(t.Context(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: input, Status: got.status, Header: got.header,
		Body: io.NopCloser(bytes.NewReader(got.body)), Options: input.Options,
	}), "%s", got.body)
	requireDescribed(t, route.Operation, got)
	r.seen[route.Operation.OperationID+" "+strconv.Itoa(got.status)] = true
}

// requireDescribed wants every member of an answer to be in the description.
func requireDescribed(t *testing.T, operation *openapi3.Operation, got answer) {
	t.Helper()
	content := operation.Responses.Status(got.status).Value.Content.Get("application/json")
	if content == nil {
		return
	}
	var value any
	require.NoError(t, json.Unmarshal(got.body, &value))
	requireMembers(t, operation.OperationID, content.Schema, value)
}

func requireMembers(t *testing.T, path string, schema *openapi3.SchemaRef, value any) {
	t.Helper()
	switch value := value.(type) {
	case []any:
		for _, item := range value {
			requireMembers(t, path+"[]", schema.Value.Items, item)
		}
	case map[string]any:
		members := membersOf(schema)
		if members == nil {
			return // a free object
		}
		for name, item := range value {
			require.Contains(t, members, name, "%s has no such member in the description", path)
			requireMembers(t, path+"."+name, members[name], item)
		}
	}
}

// membersOf are the members of an object and of what it is composed of.
func membersOf(schema *openapi3.SchemaRef) openapi3.Schemas {
	members := maps.Clone(schema.Value.Properties)
	for _, part := range schema.Value.AllOf {
		for name, member := range membersOf(part) {
			if members == nil {
				members = openapi3.Schemas{}
			}
			members[name] = member
		}
	}
	return members
}

func TestDescriptionIsValid(t *testing.T) {
	document, err := described()
	require.NoError(t, err)
	require.Equal(t, "3.1.0", document.OpenAPI)
	got := newRig(t, "").call(http.MethodGet, "/openapi.yaml", "", "")
	require.Equal(t, http.StatusOK, got.status)
	require.Equal(t, "application/yaml", got.header.Get("Content-Type"))
	require.Equal(t, string(OpenAPI), string(got.body))
}

func TestDescriptionHasTheNamesThatTheCodeHas(t *testing.T) {
	document, err := described()
	require.NoError(t, err)
	schema := func(name string) *openapi3.SchemaRef { return document.Components.Schemas[name] }
	members := func(name string) []string { return slices.Sorted(maps.Keys(membersOf(schema(name)))) }
	enum := func(name string) (list []string) {
		for _, value := range schema(name).Value.Enum {
			list = append(list, value.(string))
		}
		return list
	}
	tags := func(v any, tag string, others ...string) []string {
		for i := range reflect.TypeOf(v).NumField() {
			if name, _, _ := strings.Cut(reflect.TypeOf(v).Field(i).Tag.Get(tag), ","); name != "-" {
				others = append(others, name)
			}
		}
		slices.Sort(others)
		return others
	}
	require.Equal(t, tags(accounting.Record{}, "json", "to_headers_ms", "to_first_token_ms", "total_ms"), members("Record"))
	require.Equal(t, tags(accounting.Attempt{}, "json", "duration_ms"), members("Attempt"))
	require.Equal(t, tags(accounting.ToolCallSummary{}, "json"), members("ToolCall"))
	require.Equal(t, tags(ledger.Usage{}, "json"), members("Usage"))
	require.Equal(t, tags(config.Key{}, "yaml"), slices.Sorted(slices.Values(append(members("Settings"), "alias", "sha256"))))
	require.Equal(t, tags(config.Quota{}, "yaml"), members("Limits"))
	require.Equal(t, tags(config.Budget{}, "yaml"), members("Budget"))

	var dimensions []string
	for _, d := range ledger.Dimensions() {
		dimensions = append(dimensions, string(d))
	}
	require.ElementsMatch(t, dimensions, enum("Dimension"))
	for _, outcome := range enum("Outcome") {
		require.True(t, accounting.Outcome(outcome).Valid(), outcome)
	}
	require.Len(t, enum("Outcome"), len(accounting.Outcomes()))
	var phases []string
	for p := accounting.PhaseRecv; p.String() != "unknown"; p++ {
		phases = append(phases, p.String())
	}
	require.Equal(t, phases, enum("Phase"))
}

// Every answer that the description has for usage and keys is one that really comes.
func TestEveryDescribedAnswerComes(t *testing.T) {
	whole, blind, broken, orphan := newRig(t, sqlite(t), twoKeys()...), newRig(t, "", twoKeys()...), newRig(t, sqlite(t), twoKeys()...), newRig(t, "")
	require.NoError(t, broken.books.Close())
	const alice = `{"alias":"alice"}`
	for _, r := range []*rig{whole, blind, broken, orphan} {
		for _, key := range []string{rootKey, userKey, "nobody's"} {
			for _, body := range []string{alice, `{}`} { // to be made, there already, and bad
				r.call(http.MethodPost, "/v1/keys", key, body)
				r.call(http.MethodPost, "/v1/keys", key, alice)
			}
			r.call(http.MethodGet, "/v1/keys", key, "")
			for _, alias := range []string{"alice", "user", "absent"} {
				path := "/v1/keys/" + alias
				r.call(http.MethodGet, path, key, "")
				r.call(http.MethodPatch, path, key, `{"admin":false}`)
				r.call(http.MethodPatch, path, key, `{"nonsense":1}`)
				for _, action := range []string{"/rotate", "/disable", "/enable"} {
					r.call(http.MethodPost, path+action, key, "")
				}
			}
		}
		r.call(http.MethodGet, "/v1/usage?by=key,model&since=7d", "", "")
		r.call(http.MethodGet, "/v1/usage?by=shoe", "", "")
	}
	seen := map[string]bool{}
	for _, r := range []*rig{whole, blind, broken, orphan} {
		maps.Copy(seen, r.seen)
	}
	document, err := described()
	require.NoError(t, err)
	for _, item := range document.Paths.Map() {
		for _, operation := range item.Operations() {
			if !slices.Contains(operation.Tags, "keys") && !slices.Contains(operation.Tags, "usage") {
				continue
			}
			for status := range operation.Responses.Map() {
				require.True(t, seen[operation.OperationID+" "+status], "%s never answered %s", operation.OperationID, status)
			}
		}
	}
}
