package ollama

import (
	"github.com/sluicehq/sluice/translate"
	"github.com/sluicehq/sluice/translate/wire"
)

// Error implements translate.Dialect.
func (Dialect) Error(status int, contentType string, body []byte) *translate.Error {
	return wire.Error(status, contentType, body)
}
