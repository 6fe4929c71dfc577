package bedrock

import (
	"net/http"
	"strings"

	"github.com/sluicehq/sluice/internal/jsonview"
	"github.com/sluicehq/sluice/translate"
	"github.com/sluicehq/sluice/translate/wire"
)

// Error implements translate.Dialect. Bedrock's body is {"message":…}; what kind of
// error it is stands in a header and shows in the status.
func (Dialect) Error(status int, contentType string, body []byte) *translate.Error {
	e := wire.Error(status, contentType, body)
	root, _ := jsonview.Parse(body)
	if kind := root.Get("__type").Text(); e.Code == "" && kind != "" {
		e.Code = strings.Clone(kind[strings.LastIndexByte(kind, '#')+1:])
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
