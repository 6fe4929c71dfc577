package cohere

import (
	"net/http"
	"strings"

	"github.com/sluicehq/sluice/internal/jsonview"
	"github.com/sluicehq/sluice/translate"
	"github.com/sluicehq/sluice/translate/wire"
)

// Error implements translate.Dialect.
func (Dialect) Error(status int, contentType string, body []byte) *translate.Error {
	return wire.Error(status, contentType, body)
}

// failure is the error of an answer that ends with one: v has its finish_reason, and
// usually error and error_type. It is nil for all other answers.
func failure(v jsonview.Value) *translate.Error {
	reason, message := v.Get("finish_reason").Text(), strings.TrimSpace(v.Get("error").Text())
	status := http.StatusBadGateway
	switch {
	case reason == "TIMEOUT":
		status = http.StatusGatewayTimeout
	case strings.HasPrefix(reason, "ERROR"):
	case reason == "" && message != "":
	default:
		return nil
	}
	if message == "" {
		message = "The provider gave up on the answer."
	}
	code := v.Get("error_type").Text()
	if code == "" && strings.HasPrefix(reason, "ERROR_") { // ERROR_TOXIC, ERROR_LIMIT
		code = reason
	}
	// Nothing of the answer's memory may go into the error, which outlives it.
	return translate.ErrorOfStatus(status, strings.Clone(code), strings.Clone(message))
}
