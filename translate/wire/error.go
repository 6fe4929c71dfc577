package wire

import (
	"net/http"
	"strings"

	"github.com/sluicehq/sluice/internal/jsonview"
	"github.com/sluicehq/sluice/translate"
)

// Error reads the body of an error status, in any shape that ReshapeError knows. It
// always has a message and shares no memory with the body. Where the provider gives no
// code, a key or a model that is refused gets OpenAI's.
func Error(status int, contentType string, body []byte) *translate.Error {
	e := &translate.Error{Status: Status(status)}
	root, _ := jsonview.Parse(translate.ReshapeError(status, contentType, body))
	in := root.Get("error")
	e.Message = strings.Clone(strings.TrimSpace(in.Get("message").Text()))
	e.Type = strings.Clone(in.Get("type").Text())
	e.Param = strings.Clone(in.Get("param").Text())
	if code := in.Get("code"); code.IsNumber() {
		e.Code = strings.Clone(code.Raw)
	} else {
		e.Code = strings.Clone(code.Text())
	}
	switch {
	case e.Code != "":
	case status == http.StatusUnauthorized:
		e.Code = translate.CodeInvalidAPIKey
	case status == http.StatusNotFound && strings.Contains(strings.ToLower(e.Message), "model"):
		e.Code = translate.CodeModelNotFound
	}
	if e.Type == "" || e.Status != status {
		e.Type = translate.TypeOfStatus(e.Status)
	}
	return e
}

// Status is what becomes of a provider's status: one that would blame the client for what
// happened between others is replaced.
func Status(status int) int {
	switch status {
	case http.StatusRequestTimeout: // it was not the client that was slow
		return http.StatusGatewayTimeout
	case translate.StatusCancelled: // nor did it hang up
		return http.StatusBadGateway
	}
	return status
}

// InStream reads an error object that came inside of an answer whose status promised
// success. If it says that the request did not run for want of capacity, it gets a status
// that says so.
func InStream(object jsonview.Value) *translate.Error {
	body := []byte(object.Raw)
	e := Error(http.StatusBadGateway, "application/json", body)
	if translate.ClassifyErrorEvent(body) == translate.KindOverloaded {
		e.Status = http.StatusServiceUnavailable
		e.Type = translate.TypeOfStatus(e.Status)
	}
	return e
}
