package bedrock

import (
	"bytes"
	"net/http"
	"strings"

	"github.com/sluicehq/sluice/internal/jsonview"
	"github.com/sluicehq/sluice/translate"
	"github.com/sluicehq/sluice/translate/wire"
)

// Error implements translate.Dialect. Bedrock's body is {"message":…}; what kind of
// error it is stands in a header and shows in the status.
func (Dialect) Error(status int, contentType string, body []byte) *translate.Error {
	body = bytes.Clone(body) // which the error's words are views of
	e := wire.Error(status, contentType, body)
	root, _ := jsonview.Parse(body)
	if kind := root.Get("__type").Text(); e.Code == "" && kind != "" {
		e.Code = kind[strings.LastIndexByte(kind, '#')+1:]
	}
	switch status {
	case http.StatusFailedDependency: // the model failed, which is no mistake of the client's
		e.Status, e.Type = http.StatusBadGateway, translate.TypeOfStatus(http.StatusBadGateway)
	case http.StatusNotFound: // the only thing that a path names is the model
		if e.Code == "" {
			e.Code = translate.CodeModelNotFound
		}
	}
	return e
}

// exceptions are the statuses of the exceptions that can end a stream, in lower case.
// https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStream.html
var exceptions = map[string]int{
	"accessdeniedexception":         http.StatusForbidden,
	"internalserverexception":       http.StatusInternalServerError,
	"modelerrorexception":           http.StatusFailedDependency,
	"modelnotreadyexception":        http.StatusTooManyRequests,
	"modelstreamerrorexception":     http.StatusFailedDependency,
	"modeltimeoutexception":         http.StatusRequestTimeout,
	"resourcenotfoundexception":     http.StatusNotFound,
	"servicequotaexceededexception": http.StatusBadRequest,
	"serviceunavailableexception":   http.StatusServiceUnavailable,
	"throttlingexception":           http.StatusTooManyRequests,
	"validationexception":           http.StatusBadRequest,
}

// streamError reads an exception that ends a stream. Its kind becomes the code.
func streamError(kind string, data []byte) *translate.Error {
	status, known := exceptions[strings.ToLower(kind)]
	if !known {
		status = http.StatusInternalServerError
	}
	e := Dialect{}.Error(status, "application/json", data)
	if kind != "" {
		e.Code = strings.Clone(kind)
	}
	return e
}
