package gemini

import (
	"net/url"
	"path"
	"strings"

	"github.com/sluicehq/sluice/internal/jsonview"
	"github.com/sluicehq/sluice/modeldata"
	"github.com/sluicehq/sluice/translate"
)

// parts writes the content of a message. signature belongs to its last text.
func (r *request) parts(kind content, m *translate.Message, signature jsonview.Value) {
	lastText := -1
	for i, p := range m.Parts {
		if p.Kind == translate.PartText || p.Kind == translate.PartRefusal {
			lastText = i
		}
	}
	for i := range m.Parts {
		p := &m.Parts[i]
		r.begin(kind)
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
	r.out.Open('{')
	r.out.Raw("text", text)
	r.out.Raw("thoughtSignature", signature)
	r.out.Close('}')
}

// media writes an image, audio or a file: inline, or where Google finds it.
func (r *request) media(p *translate.Part) {
	w := r.out
	w.Open('{')
	switch {
	case p.Kind == translate.PartFile && isURI(p.Data): // some clients give a file's URL as its data
		r.fileData(p, p.Data)
	case p.Data != "" && p.Media != "":
		w.Name("inlineData")
		w.Open('{')
		w.Text("mimeType", p.Media)
		w.Text("data", p.Data)
		w.Close('}')
	case p.Data != "":
		r.fail(translate.Unsupported(p.Path, "its data URI names no media type"))
	case isURI(p.URL):
		r.fileData(p, p.URL)
	case isURI(p.FileID):
		r.fileData(p, p.FileID)
	case p.Kind == translate.PartImage:
		r.fail(translate.Unsupported(p.Path, "an image must be a data URI or a URL that begins with https:// or gs://"))
	default:
		r.fail(translate.Unsupported(p.Path, "a file must come as file_data, or its file_id be a URI that begins with https:// or gs://"))
	}
	r.resolution(p)
	w.Close('}')
}

func isURI(s string) bool {
	for _, scheme := range [...]string{"https://", "gs://", "http://"} {
		if len(s) > len(scheme) && strings.EqualFold(s[:len(scheme)], scheme) {
			return true
		}
	}
	return false
}

func (r *request) fileData(p *translate.Part, uri string) {
	r.out.Name("fileData")
	r.out.Open('{')
	if media := r.mediaAt(p, uri); media != "" {
		r.out.Text("mimeType", media)
	}
	r.out.Text("fileUri", uri)
	r.out.Close('}')
}

// filesAPI begins the URIs of what was uploaded to the Developer API, which knows the
// types of its files.
const filesAPI = "https://generativelanguage.googleapis.com/"

// mediaAt is the media type of what is at a URI, empty for one that need not be stated.
// Where nothing tells it, a guess has to do: Vertex AI wants one, and looks at the data
// anyway. Films of YouTube have one there, but none at the Developer API.
func (r *request) mediaAt(p *translate.Part, uri string) string {
	for _, name := range [...]string{p.FileName, uri} {
		if media := mediaType(name); media != "" {
			return media
		}
	}
	switch {
	case strings.HasPrefix(uri, filesAPI):
		return ""
	case isYouTube(uri):
		if r.c.Platform.Platform == translate.PlatformVertex {
			return "video/mp4"
		}
		return ""
	case p.Kind == translate.PartFile:
		return "application/pdf"
	}
	return "image/jpeg"
}

func isYouTube(uri string) bool {
	u, err := url.Parse(uri)
	if err != nil {
		return false
	}
	switch strings.ToLower(u.Hostname()) {
	case "youtube.com", "www.youtube.com", "m.youtube.com", "youtu.be":
		return true
	}
	return false
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
	r.out.Name("mediaResolution")
	r.out.Open('{')
	r.out.Text("level", level)
	r.out.Close('}')
}
