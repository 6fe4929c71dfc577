package bedrock

import (
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/sluicehq/sluice/translate"
	"github.com/sluicehq/sluice/translate/wire"
)

// block adds a content part to the list that to returns, if there is anything in it.
func (r *request) block(p translate.Part, to func() *list) {
	switch p.Kind {
	case translate.PartText, translate.PartRefusal:
		if wire.Blank(p.Text) {
			return
		}
		to().add(`{"text":`, p.Text.Raw, "}")
	case translate.PartImage:
		r.image(p, to)
	case translate.PartAudio:
		r.audio(p, to)
	case translate.PartFile:
		r.file(p, to)
	}
	if p.CacheControl.Exists() && r.failed == nil {
		r.cachePoint(to(), p.CacheControl)
	}
}

// imageFormats are the media types of images.
// https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ImageBlock.html
var imageFormats = map[string]string{
	"image/png": "png", "image/jpeg": "jpeg", "image/jpg": "jpeg", "image/gif": "gif", "image/webp": "webp",
}

func (r *request) image(p translate.Part, to func() *list) {
	param := p.Path + ".image_url.url"
	if p.URL != "" {
		r.fail(translate.Unsupported(param, "the provider of this model fetches no images, so they must be sent as data URIs"))
		return
	}
	if format := imageFormats[p.Media]; format != "" {
		media(to(), "image", format, p.Data)
		return
	}
	if documentFormats[p.Media] == "" {
		r.fail(translate.Unsupported(param, "the provider of this model takes PNG, JPEG, GIF and WebP images"))
		return
	}
	r.document(documentFormats[p.Media], "", p.Data, to)
}

// audioFormats are those that input_audio can have by the names of Bedrock's AudioBlock.
var audioFormats = []string{
	"mp3", "opus", "wav", "aac", "flac", "mp4", "ogg", "mkv", "mka", "x-aac", "m4a", "mpeg", "mpga", "pcm", "webm",
}

func (r *request) audio(p translate.Part, to func() *list) {
	format := strings.TrimPrefix(p.Media, "audio/")
	if !slices.Contains(audioFormats, format) {
		r.fail(translate.Unsupported(p.Path+".input_audio.format", "the provider of this model knows no such format"))
		return
	}
	media(to(), "audio", format, p.Data)
}

func media(to *list, kind, format, data string) {
	to.add(`{"`, kind, `":{"format":"`, format, `","source":{"bytes":`)
	to.quote(data)
	to.append("}}}")
}

// documentFormats are the media types of documents.
// https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_DocumentBlock.html
var documentFormats = map[string]string{
	"application/pdf":    "pdf",
	"text/csv":           "csv",
	"text/html":          "html",
	"text/plain":         "txt",
	"text/markdown":      "md",
	"application/msword": "doc",
	"application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
	"application/vnd.ms-excel": "xls",
	"application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
}

// documentEndings are the endings of file names that say more than a media type which
// stands for any bytes or any text.
var documentEndings = map[string]string{
	".pdf": "pdf", ".csv": "csv", ".html": "html", ".htm": "html", ".txt": "txt", ".md": "md",
	".doc": "doc", ".docx": "docx", ".xls": "xls", ".xlsx": "xlsx",
}

func (r *request) file(p translate.Part, to func() *list) {
	if p.FileID != "" && p.Data == "" {
		r.fail(translate.Unsupported(p.Path+".file.file_id", "the provider of this model stores no files"))
		return
	}
	if format := imageFormats[p.Media]; format != "" {
		media(to(), "image", format, p.Data)
		return
	}
	format := documentFormats[p.Media]
	if format == "" || format == "txt" {
		if ending := documentEndings[strings.ToLower(path.Ext(p.FileName))]; ending != "" {
			format = ending
		}
	}
	if format == "" && strings.HasPrefix(p.Media, "text/") {
		format = "txt"
	}
	if format == "" {
		r.fail(translate.Unsupported(p.Path+".file.file_data", "the provider of this model takes PDF, Word, Excel, CSV, HTML, Markdown and text files"))
		return
	}
	r.document(format, p.FileName, p.Data, to)
}

func (r *request) document(format, fileName, data string, to func() *list) {
	name := r.documentName(fileName)
	l := to()
	l.add(`{"document":{"format":"`, format, `","name":"`, name, `","source":{"bytes":`)
	l.quote(data)
	l.append("}}}")
	l.last = lastDocument
}

// maxDocumentName bounds the names of documents; Bedrock's own bound is 200 characters.
const maxDocumentName = 180

// documentName makes of a file's name one that Bedrock takes: letters, digits, single
// spaces, hyphens, parentheses and brackets, and no name twice in a request.
func (r *request) documentName(fileName string) string {
	base := strings.TrimSuffix(fileName, path.Ext(fileName))
	var name []byte
	for _, c := range base {
		if len(name) == maxDocumentName {
			break
		}
		allowed := c < 0x80 && (translate.IsAlnum(byte(c)) || strings.ContainsRune("-()[]", c))
		switch last := len(name) - 1; {
		case allowed:
			name = append(name, byte(c))
		case strings.ContainsRune(" \t\r\n", c):
			if last >= 0 && name[last] != ' ' {
				name = append(name, ' ')
			}
		case last < 0 || name[last] != '-':
			name = append(name, '-')
		}
	}
	plain := strings.Trim(string(name), " -")
	if plain == "" {
		plain = "document"
	}
	unique := plain
	for n := 2; slices.Contains(r.documents, unique); n++ {
		unique = plain + " (" + strconv.Itoa(n) + ")"
	}
	r.documents = append(r.documents, unique)
	return unique
}
