package anthropic

import (
	"encoding/base64"
	"net/url"
	"strings"

	"github.com/sluicehq/sluice/internal/jsonview"
	"github.com/sluicehq/sluice/translate"
)

// appendImage appends a picture, or the document that some clients send as one.
func (e *encoder) appendImage(dst []byte, p *translate.Part, cache jsonview.Value) []byte {
	if p.Data == "" {
		return e.appendURL(dst, p, cache)
	}
	if kind := imageType(p.Media); kind != "" {
		dst = append(dst, `{"type":"image","source":`...)
		return append(appendCache(appendBase64(dst, kind, p.Data), cache), '}')
	}
	return e.appendFile(dst, p, cache)
}

// imageType is the media type of a picture as the API has it, empty for one that it
// does not take.
func imageType(media string) string {
	switch media {
	case "image/jpeg", "image/png", "image/gif", "image/webp":
		return media
	case "image/jpg": // a common mistake
		return "image/jpeg"
	}
	return ""
}

func appendBase64(dst []byte, media, data string) []byte {
	dst = append(dst, `{"type":"base64","media_type":"`...)
	dst = append(dst, media...)
	dst = append(dst, `","data":`...)
	dst = translate.AppendQuoted(dst, data)
	return append(dst, '}')
}

func (e *encoder) appendURL(dst []byte, p *translate.Part, cache jsonview.Value) []byte {
	if e.c.Platform.Platform == translate.PlatformBedrock {
		e.refuse(p.Path, "Bedrock fetches nothing, the data itself has to be sent")
		return dst
	}
	address, err := url.Parse(p.URL)
	if err != nil || address.Scheme != "https" && address.Scheme != "http" {
		e.refuse(p.Path, "the provider of this model takes http(s) URLs and data URIs only")
		return dst
	}
	kind := "image"
	if strings.HasSuffix(strings.ToLower(address.Path), ".pdf") {
		kind = "document"
	}
	dst = append(dst, `{"type":"`...)
	dst = append(dst, kind...)
	dst = append(dst, `","source":{"type":"url","url":`...)
	dst = translate.AppendQuoted(dst, p.URL)
	return append(appendCache(append(dst, '}'), cache), '}')
}

// appendFile appends a document. Text goes as text: base64 is for PDFs.
func (e *encoder) appendFile(dst []byte, p *translate.Part, cache jsonview.Value) []byte {
	const begin = `{"type":"document","source":`
	switch {
	case p.Data == "":
		// The ids of Anthropic's Files API begin like this, those of OpenAI with file-.
		if !strings.HasPrefix(p.FileID, "file_") {
			e.refuse(p.Path+".file.file_id", "the file is not at the provider of this model")
			return dst
		}
		dst = append(dst, begin+`{"type":"file","file_id":`...)
		dst = translate.AppendQuoted(dst, p.FileID)
		dst = append(dst, '}')
	case p.Media == "application/pdf":
		dst = appendBase64(append(dst, begin...), p.Media, p.Data)
	case imageType(p.Media) != "":
		return e.appendImage(dst, p, cache)
	case strings.HasPrefix(p.Media, "text/"):
		text, err := base64.StdEncoding.DecodeString(p.Data)
		if err != nil {
			e.fail(translate.InvalidType(p.Path, "base64 data"))
			return dst
		}
		dst = append(dst, begin+`{"type":"text","media_type":"text/plain","data":`...)
		dst = append(translate.AppendQuoted(dst, string(text)), '}')
	default:
		e.refuse(p.Path, "the provider of this model takes JPEG, PNG, GIF, WebP, PDF and text")
		return dst
	}
	if p.FileName != "" {
		dst = append(dst, `,"title":`...)
		dst = translate.AppendQuoted(dst, p.FileName)
	}
	return append(appendCache(dst, cache), '}')
}
