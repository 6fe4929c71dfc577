package simulator

import (
	"encoding/json"
	"net/http"
)

// failure is an error in the OpenAI shape.
type failure struct {
	status  int
	kind    string
	code    string // "" is null
	param   string // "" is null
	message string
}

var (
	errNoSuchPath  = &failure{status: http.StatusNotFound, kind: "invalid_request_error", code: "unknown_url", message: "The simulator has no such URL."}
	errWrongMethod = &failure{status: http.StatusMethodNotAllowed, kind: "invalid_request_error", code: "method_not_supported", message: "Not allowed: this URL takes another method."}
	errTooLarge    = &failure{status: http.StatusRequestEntityTooLarge, kind: "invalid_request_error", code: "request_too_large", message: "The request body is larger than 32 MiB."}
	errNotJSON     = &failure{status: http.StatusBadRequest, kind: "invalid_request_error", message: "We could not parse the JSON body of your request. The body must be a JSON object."}
	errNoModel     = &failure{status: http.StatusBadRequest, kind: "invalid_request_error", param: "model", message: "you must provide a model parameter"}

	errRateLimit = &failure{status: http.StatusTooManyRequests, kind: "rate_limit_error", code: "rate_limit_exceeded", message: "Rate limit reached (simulated). Please try again in 1s."}
	errBroken    = &failure{status: http.StatusInternalServerError, kind: "server_error", code: "internal_error", message: "The server had an error while processing your request (simulated)."}
	errNoKey     = &failure{status: http.StatusUnauthorized, kind: "authentication_error", code: "invalid_api_key", message: "Incorrect API key provided (simulated)."}
)

func invalid(param, message string) *failure {
	return &failure{status: http.StatusBadRequest, kind: "invalid_request_error", param: param, message: message}
}

func unknownModel(name string) *failure {
	return &failure{
		status: http.StatusNotFound, kind: "invalid_request_error", code: "model_not_found", param: "model",
		message: "The model `" + name + "` does not exist: GET /v1/models lists what the simulator has.",
	}
}

// body is {"error":{…}}, without a final newline.
func (f *failure) body() []byte {
	return mustJSON(map[string]any{"error": map[string]any{
		"message": f.message, "type": f.kind, "param": orNull(f.param), "code": orNull(f.code),
	}})
}

func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func fail(w http.ResponseWriter, f *failure) {
	if f.status == http.StatusTooManyRequests {
		w.Header().Set("Retry-After", "1")
		w.Header().Set("X-Ratelimit-Limit-Requests", "60")
		w.Header().Set("X-Ratelimit-Remaining-Requests", "0")
		w.Header().Set("X-Ratelimit-Reset-Requests", "1s")
	}
	reply(w, f.status, f.body())
}

// reply writes a whole JSON answer. A caller that has gone is noticed elsewhere.
func reply(w http.ResponseWriter, status int, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

// mustJSON encodes values that are made of strings, numbers, maps and lists only.
func mustJSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic("encoding an answer: " + err.Error())
	}
	return b
}
