package translate

import (
	"net/http"
	"strconv"
	"time"
)

// Codes of the errors that sluice itself makes, with their statuses. "Sent" marks
// those after which a repeat may be billed twice once the request went out.
const (
	CodeInvalidJSON  = "invalid_json"  // 400
	CodeJSONTooDeep  = "json_too_deep" // 400
	CodeDuplicateKey = "duplicate_key" // 400
	// CodeAmbiguousKey: a member is spelled like one that sluice acts on, but for its case.
	CodeAmbiguousKey = "ambiguous_key"     // 400
	CodeInvalidType  = "invalid_type"      // 400
	CodeMissingModel = "missing_model"     // 400
	CodeUnsupported  = "unsupported_value" // 400
	// CodeUnsupportedEndpoint: the provider's dialect has no such operation.
	CodeUnsupportedEndpoint = "unsupported_endpoint" // 404
	CodeNotJSON             = "not_json"             // 415
	CodeMalformedRequest    = "bad_request"          // 400, the HTTP itself
	CodeModelNotFound       = "model_not_found"      // 404
	CodeInvalidAPIKey       = "invalid_api_key"      // 401
	CodeNotFound            = "not_found"            // 404
	CodeMethodNotAllowed    = "method_not_allowed"   // 405
	CodeBodyTooLarge        = "body_too_large"       // 413
	CodeHeadersTooLarge     = "headers_too_large"    // 431
	CodeRequestTimeout      = "request_timeout"      // 408
	CodeExpectationFailed   = "expectation_failed"   // 417
	CodeMisdirected         = "misdirected_request"  // 421
	CodeTooManyStreams      = "too_many_streams"     // 429
	CodeCancelled           = "cancelled"            // 499

	CodeRateLimit         = "rate_limit_exceeded" // 429
	CodeBudgetSpent       = "insufficient_quota"  // 429, OpenAI's word for it
	CodePriceUnknown      = "price_unknown"       // 403
	CodeMaxTokens         = "max_tokens_exceeded" // 400
	CodeLimitsUnavailable = "limits_unavailable"  // 503
	CodeLedgerUnavailable = "ledger_unavailable"  // 503
	CodeReplicasSilent    = "replicas_silent"     // 503
	// Limits that are crossed while an answer comes.
	CodeBudgetExceeded = "budget_exceeded" // 429, sent
	CodeOutputLimit    = "output_limit"    // 429, sent
	CodeDurationLimit  = "duration_limit"  // 429, sent

	// Codes of the management API.
	CodeInvalidValue  = "invalid_value"  // 400
	CodeAdminRequired = "admin_required" // 403
	CodeKeyNotFound   = "key_not_found"  // 404
	CodeKeyExists     = "key_exists"     // 409
	CodeKeyConfigured = "key_configured" // 409
	CodeNoLedger      = "no_ledger"      // 501

	// The admin listener.
	CodeReloadFailed     = "reload_failed"      // 400
	CodeFixedSetting     = "fixed_setting"      // 409
	CodeOriginNotAllowed = "origin_not_allowed" // 403

	CodeUpstreamConnectFailed  = "upstream_connect_failed"   // 502
	CodeUpstreamDNS            = "upstream_dns"              // 502
	CodeUpstreamCredentials    = "upstream_credentials"      // 502
	CodeUpstreamTLS            = "upstream_tls"              // 502, sent
	CodeUpstreamConnectTimeout = "upstream_connect_timeout"  // 504
	CodeUpstreamTimeout        = "upstream_timeout"          // 504, sent
	CodeUpstreamClosed         = "upstream_closed"           // 502, sent
	CodeUpstreamReset          = "upstream_reset"            // 502, sent
	CodeUpstreamTruncated      = "upstream_truncated"        // 502, sent
	CodeUpstreamBadResponse    = "upstream_bad_response"     // 502, sent
	CodeUpstreamBadContentType = "upstream_bad_content_type" // 502, sent
	CodeUpstreamBadEncoding    = "upstream_bad_encoding"     // 502, sent
	CodeUpstreamRedirect       = "upstream_redirect"         // 502: a redirect has run nothing

	// CodeUpstreamBusy: every target has all the requests that it may have.
	CodeUpstreamBusy = "upstream_busy" // 503
	// CodeOverloaded: there is no memory for another request.
	CodeOverloaded   = "overloaded"    // 503
	CodeShuttingDown = "shutting_down" // 503, sent
	CodeInternal     = "internal"      // 500, sent
)

// The message of every code, without upstream bytes and without anything of the
// request.
var codes = map[string]struct {
	status  int
	message string
	sent    bool
}{
	CodeInvalidJSON:         {400, "The request body is not valid JSON.", false},
	CodeJSONTooDeep:         {400, "The request body nests arrays and objects deeper than 128 levels.", false},
	CodeDuplicateKey:        {400, "A member of the request body appears more than once.", false},
	CodeAmbiguousKey:        {400, "A member of the request body has a name that differs from a known one by letter case alone.", false},
	CodeInvalidType:         {400, "A member of the request body has the wrong type.", false},
	CodeMissingModel:        {400, "You must provide a model.", false},
	CodeUnsupported:         {400, "The provider of this model cannot do what a member of the request body asks for.", false},
	CodeUnsupportedEndpoint: {404, "The provider of this model has no such operation.", false},
	CodeNotJSON:             {415, "The request body must be sent as application/json.", false},
	CodeMalformedRequest:    {400, "The request is not valid HTTP.", false},
	CodeModelNotFound:       {404, "The model does not exist or you do not have access to it.", false},
	CodeInvalidAPIKey:       {401, "Incorrect or missing API key.", false},
	CodeNotFound:            {404, "There is nothing at this address.", false},
	CodeMethodNotAllowed:    {405, "This method is not allowed here.", false},
	CodeBodyTooLarge:        {413, "The request body is too large.", false},
	CodeHeadersTooLarge:     {431, "The request headers are too large.", false},
	CodeRequestTimeout:      {408, "The request did not arrive in time.", false},
	CodeExpectationFailed:   {417, "The expectation in the Expect header cannot be met.", false},
	CodeMisdirected:         {421, "This server does not answer for the requested host.", false},
	CodeTooManyStreams:      {429, "Too many requests are open at once.", false},
	CodeCancelled:           {499, "The request was cancelled.", false},

	CodeRateLimit:         {429, "A rate limit has been reached.", false},
	CodeBudgetSpent:       {429, "The budget has been spent.", false},
	CodePriceUnknown:      {403, "The price of this model is not known, so a budget in money cannot be kept.", false},
	CodeMaxTokens:         {400, "The request asks for more output than it may have.", false},
	CodeLimitsUnavailable: {503, "The limits of this request cannot be checked at the moment.", false},
	CodeReplicasSilent:    {503, "Not every replica could be asked about this request.", false},
	CodeLedgerUnavailable: {503, "The books cannot be written at the moment.", false},
	CodeBudgetExceeded:    {429, "The answer was ended because the budget has been spent.", true},
	CodeOutputLimit:       {429, "The answer was ended because it reached the limit of output tokens.", true},
	CodeDurationLimit:     {429, "The answer was ended because it reached the limit of time.", true},

	CodeInvalidValue:  {400, "A value cannot be used.", false},
	CodeAdminRequired: {403, "This needs the key of an administrator.", false},
	CodeKeyNotFound:   {404, "There is no key with this alias.", false},
	CodeKeyExists:     {409, "There is a key with this alias already.", false},
	CodeKeyConfigured: {409, "This key is in the configuration and can only be changed there.", false},
	CodeNoLedger:      {501, "This needs a ledger in a database: set ledger in the configuration.", false},

	CodeReloadFailed:     {400, "The configuration cannot be used; the one before goes on.", false},
	CodeFixedSetting:     {409, "A setting was changed that needs a restart; the configuration before goes on.", false},
	CodeOriginNotAllowed: {403, "Web pages of this origin may not use this.", false},

	CodeUpstreamConnectFailed:  {502, "The provider could not be reached.", false},
	CodeUpstreamDNS:            {502, "The provider's host name could not be resolved.", false},
	CodeUpstreamCredentials:    {502, "The credentials for the provider could not be obtained.", false},
	CodeUpstreamTLS:            {502, "The TLS connection to the provider failed.", true},
	CodeUpstreamConnectTimeout: {504, "Connecting to the provider took too long.", false},
	CodeUpstreamTimeout:        {504, "The provider did not answer in time.", true},
	CodeUpstreamClosed:         {502, "The provider closed the connection before answering.", true},
	CodeUpstreamReset:          {502, "The provider reset the connection.", true},
	CodeUpstreamTruncated:      {502, "The provider's answer ended before it was complete.", true},
	CodeUpstreamBadResponse:    {502, "The provider's answer cannot be read.", true},
	CodeUpstreamBadContentType: {502, "The provider's answer has an unexpected content type.", true},
	CodeUpstreamBadEncoding:    {502, "The provider's answer has an encoding that cannot be read.", true},
	CodeUpstreamRedirect:       {502, "The provider answered with a redirect, which is not followed.", false},

	CodeUpstreamBusy: {503, "Every provider of this model has as many requests as it may have.", false},
	CodeOverloaded:   {503, "The server has no memory for another request of this size.", false},
	CodeShuttingDown: {503, "The server is shutting down.", true},
	CodeInternal:     {500, "An internal error occurred.", true},
}

// NewError is the error of a code in the closed list; a code outside it becomes
// CodeInternal. The caller owns the result and may refine it.
func NewError(code string) *Error {
	entry, known := codes[code]
	if !known {
		code, entry = CodeInternal, codes[CodeInternal]
	}
	e := &Error{Status: entry.status, Message: entry.message, Type: TypeOfStatus(entry.status), Code: code}
	switch code {
	case CodeMissingModel:
		e.Param = "model"
	case CodeShuttingDown, CodeTooManyStreams, CodeLimitsUnavailable, CodeLedgerUnavailable, CodeReplicasSilent,
		CodeUpstreamBusy, CodeOverloaded:
		e.RetryAfter = time.Second
	case CodeBudgetSpent:
		e.Type = "insufficient_quota"
	}
	return e
}

// UpstreamError is the error of a failed attempt. sent tells whether any byte of the
// request may have reached the upstream: then those codes after which it may have run
// the request ask the client not to repeat it.
func UpstreamError(code string, sent bool) *Error {
	e := NewError(code)
	e.NoRetry = sent && codes[e.Code].sent
	return e
}

// ErrorOfStatus is an error with a code and message of the caller's.
func ErrorOfStatus(status int, code, message string) *Error {
	return &Error{Status: status, Message: message, Type: TypeOfStatus(status), Code: code}
}

// InvalidJSON is CodeInvalidJSON with a more exact message.
func InvalidJSON(message string) *Error {
	e := NewError(CodeInvalidJSON)
	e.Message = message
	return e
}

// DuplicateKey names the member that appears more than once.
func DuplicateKey(param string) *Error {
	e := NewError(CodeDuplicateKey)
	e.Message = "'" + param + "' appears more than once in the request body."
	e.Param = param
	return e
}

// AmbiguousKey names the member whose name the client has to spell in its letter case.
func AmbiguousKey(param string) *Error {
	e := NewError(CodeAmbiguousKey)
	e.Message = "'" + param + "' must be written in exactly this letter case."
	e.Param = param
	return e
}

// InvalidType names the member and what it has to be, as in "an integer".
func InvalidType(param, want string) *Error {
	e := NewError(CodeInvalidType)
	e.Message = "'" + param + "' must be " + want + "."
	e.Param = param
	return e
}

// Unsupported names the member that the provider cannot honour, and why: a clause that
// quotes nothing of the request, as in "audio cannot be sent to this provider".
func Unsupported(param, why string) *Error {
	e := NewError(CodeUnsupported)
	e.Message = "'" + param + "' is not supported: " + why + "."
	e.Param = param
	return e
}

// maxQuotedModel bounds how much of an unknown model's name an error repeats.
const maxQuotedModel = 128

// ModelNotFound repeats the model's name to the client, unless it is long or empty.
func ModelNotFound(model string) *Error {
	e := NewError(CodeModelNotFound)
	if model != "" && len(model) <= maxQuotedModel {
		e.Message = "The model '" + model + "' does not exist or you do not have access to it."
	}
	e.Param = "model"
	return e
}

// OutputLimitExceeded names the most tokens that a request may ask for.
func OutputLimitExceeded(limit int64) *Error {
	e := NewError(CodeMaxTokens)
	e.Message = "At most " + strconv.FormatInt(limit, 10) + " output tokens may be asked for."
	e.Param = "max_tokens"
	return e
}

// BodyTooLarge names the limit in bytes.
func BodyTooLarge(limit int64) *Error {
	e := NewError(CodeBodyTooLarge)
	e.Message = "The request body is larger than " + strconv.FormatInt(limit, 10) + " bytes."
	return e
}

// TypeOfStatus is the error type that OpenAI uses with an HTTP status.
func TypeOfStatus(status int) string {
	switch status {
	case http.StatusUnauthorized:
		return "authentication_error"
	case http.StatusPaymentRequired:
		return "insufficient_quota"
	case http.StatusForbidden:
		return "permission_error"
	case http.StatusNotFound:
		return "not_found_error"
	case http.StatusRequestTimeout, http.StatusGatewayTimeout:
		return "timeout"
	case http.StatusTooManyRequests:
		return "rate_limit_error"
	case StatusCancelled:
		return "cancelled"
	}
	if status >= 500 {
		return "server_error"
	}
	return "invalid_request_error"
}

// StatusCancelled is the status of a request that ended because its client wanted so.
// It is nginx's number; no RFC has one.
const StatusCancelled = 499
