package gemini

import (
	"path"
	"strings"

	"github.com/sluicehq/sluice/internal/jsonview"
	"github.com/sluicehq/sluice/modeldata"
	"github.com/sluicehq/sluice/translate"
)

// parts writes the content of a message. signature belongs to its last text.
func (r *request) parts(role string, m *translate.Message, signature jsonview.Value) {
	lastText := -1
	for i, p := range m.Parts {
		if p.Kind == translate.PartText || p.Kind == translate.PartRefusal {
			lastText = i
		}
	}
	for i := range m.Parts {
		p := &m.Parts[i]
		r.begin(role)
		switch p.Kind {
		case translate.PartText, translate.PartRefusal:
			if i == lastText {
				r.textPart(p.Text, signature)
			} else {
				r.textPart(p.Text, jsonview.Value{})
			}
		default:
			r.media(p)
		}
	}
}

func (r *request) textPart(text, signature jsonview.Value) {
	r.out.open('{')
	r.out.member("text", text.Raw)
	r.out.optional("thoughtSignature", signature)
	r.out.close('}')
}

// media writes an image, audio or a file: inline, or where Google finds it.
func (r *request) media(p *translate.Part) {
	w := &r.out
	w.open('{')
	switch {
	case p.Data != "" && p.Media != "":
		w.key("inlineData")
		w.open('{')
		w.textMember("mimeType", p.Media)
		w.textMember("data", p.Data)
		w.close('}')
	case p.Data != "":
		r.fail(translate.Unsupported(p.Path, "its data URI names no media type"))
	case isURI(p.URL):
		r.fileData(p.URL, p.URL)
	case isURI(p.FileID):
		r.fileData(p.FileID, p.FileName)
	case p.Kind == translate.PartImage:
		r.fail(translate.Unsupported(p.Path, "an image must be a data URI or a URL that begins with https:// or gs://"))
	default:
		r.fail(translate.Unsupported(p.Path, "a file must come as file_data, or its file_id be a URI that begins with https:// or gs://"))
	}
	r.resolution(p)
	w.close('}')
}

func isURI(s string) bool {
	for _, scheme := range [...]string{"https://", "gs://", "http://"} {
		if len(s) > len(scheme) && strings.EqualFold(s[:len(scheme)], scheme) {
			return true
		}
	}
	return false
}

// filesAPI begins the URIs of what was uploaded to the Developer API, which knows the
// types of its files.
const filesAPI = "https://generativelanguage.googleapis.com/"

func (r *request) fileData(uri, name string) {
	w := &r.out
	w.key("fileData")
	w.open('{')
	if media := mediaType(name); media != "" {
		w.textMember("mimeType", media)
	} else if media = mediaType(uri); media != "" {
		w.textMember("mimeType", media)
	} else if !strings.HasPrefix(uri, filesAPI) {
		w.textMember("mimeType", "image/jpeg") // Vertex AI wants one, and looks at the data anyway
	}
	w.textMember("fileUri", uri)
	w.close('}')
}

var mediaTypes = map[string]string{
	".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".webp": "image/webp",
	".gif": "image/gif", ".heic": "image/heic", ".heif": "image/heif", ".bmp": "image/bmp", ".avif": "image/avif",
	".pdf": "application/pdf", ".txt": "text/plain", ".md": "text/markdown", ".html": "text/html",
	".htm": "text/html", ".csv": "text/csv", ".xml": "text/xml", ".json": "application/json",
	".mp3": "audio/mp3", ".wav": "audio/wav", ".aac": "audio/aac", ".ogg": "audio/ogg", ".flac": "audio/flac",
	".aiff": "audio/aiff", ".m4a": "audio/mp4", ".mp4": "video/mp4", ".mpeg": "video/mpeg", ".mpg": "video/mpeg",
	".mov": "video/quicktime", ".webm": "video/webm", ".avi": "video/x-msvideo", ".wmv": "video/x-ms-wmv",
}

// mediaType is the media type that the end of a name or URL stands for.
func mediaType(name string) string {
	if cut := strings.IndexAny(name, "?#"); cut >= 0 && strings.Contains(name, "://") {
		name = name[:cut]
	}
	return mediaTypes[strings.ToLower(path.Ext(name))]
}

// resolution asks for the detail of an image. Models before Gemini 3, which are not
// asked to think by a level, know no resolution of a single part.
func (r *request) resolution(p *translate.Part) {
	level := map[string]string{"low": "MEDIA_RESOLUTION_LOW", "high": "MEDIA_RESOLUTION_HIGH"}[p.Detail]
	if level == "" {
		return
	}
	if r.c.Known.Reasoning.Style != modeldata.StyleLevel {
		r.c.Warn("'detail' of images was dropped: the model is not known to have anything like it.")
		return
	}
	r.out.key("mediaResolution")
	r.out.open('{')
	r.out.textMember("level", level)
	r.out.close('}')
}
