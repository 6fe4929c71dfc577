package translate

import (
	"strconv"
	"strings"
)

// identity is what an answer calls itself.
type identity struct {
	Head
	idSaid, modelSaid, createdSaid bool
}

// say notes what the provider says; the first word of each counts.
func (i *identity) say(id, model string, created int64) {
	if id != "" && !i.idSaid {
		i.ID, i.idSaid = strings.Clone(id), true
	}
	if model != "" && !i.modelSaid {
		i.Model, i.modelSaid = strings.Clone(model), true
	}
	if created > 0 && !i.createdSaid {
		i.Created, i.createdSaid = created, true
	}
}

// served replaces the model.
func (i *identity) served(model string) {
	if model != "" {
		i.Model, i.modelSaid = strings.Clone(model), true
	}
}

// shown is the head as the client sees it, under the public model name if there is one.
func (i *identity) shown(public string) Head {
	h := i.Head
	if public != "" {
		h.Model = public
	}
	return h
}

// appendExtra appends the member extra_content, the name under which Google's own
// compatibility endpoint carries such data and under which clients return it.
func appendExtra(dst []byte, vendor, raw string) []byte {
	dst = append(dst, `"extra_content":{`...)
	dst = AppendQuoted(dst, vendor)
	dst = append(dst, ':')
	dst = append(dst, raw...)
	return append(dst, '}')
}

// appendNative appends the member sluice with the provider's own finish reason.
func appendNative(dst []byte, native string) []byte {
	dst = append(dst, `,"sluice":{"native_finish_reason":`...)
	dst = AppendQuoted(dst, native)
	return append(dst, '}')
}

// appendImage appends an element of images, the form that OpenRouter gave it.
func appendImage(dst []byte, index int, escapedURL string) []byte {
	dst = append(dst, `{"index":`...)
	dst = strconv.AppendInt(dst, int64(index), 10)
	dst = append(dst, `,"type":"image_url","image_url":{"url":"`...)
	dst = append(dst, escapedURL...)
	return append(dst, `"}}`...)
}
