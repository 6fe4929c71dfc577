package translate

import (
	"strconv"
	"strings"

	"github.com/sluicehq/sluice/internal/jsonview"
)

// ModelEntry is one model as GET /v1/models lists it.
type ModelEntry struct {
	ID      string
	Created int64 // seconds since 1970
	OwnedBy string
}

// ModelNames reads the names out of OpenAI's list of models; anything else has none.
func ModelNames(body []byte) []string {
	root, ok := jsonview.Parse(body)
	if !ok {
		return nil
	}
	var names []string
	for _, m := range root.Get("data").Elements {
		if name := m.Get("id").Text(); name != "" {
			names = append(names, strings.Clone(name))
		}
	}
	return names
}

// AppendModelList appends OpenAI's list of models.
func AppendModelList(dst []byte, models []ModelEntry) []byte {
	dst = append(dst, `{"object":"list","data":[`...)
	for i, m := range models {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = AppendModel(dst, m)
	}
	return append(dst, `]}`...)
}

// AppendModel appends OpenAI's model object.
func AppendModel(dst []byte, m ModelEntry) []byte {
	dst = append(dst, `{"id":`...)
	dst = AppendQuoted(dst, m.ID)
	dst = append(dst, `,"object":"model","created":`...)
	dst = strconv.AppendInt(dst, m.Created, 10)
	dst = append(dst, `,"owned_by":`...)
	dst = AppendQuoted(dst, m.OwnedBy)
	return append(dst, '}')
}
