package translate

import "strconv"

// ModelEntry is one model as GET /v1/models lists it.
type ModelEntry struct {
	ID      string
	Created int64 // seconds since 1970
	OwnedBy string
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
