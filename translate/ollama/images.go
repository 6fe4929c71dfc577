package ollama

import "strings"

// signatures are the first characters that base64 makes of the first bytes of pictures.
var signatures = [...]struct{ prefix, media string }{
	{"/9j/", "image/jpeg"}, {"R0lGOD", "image/gif"}, {"UklGR", "image/webp"},
}

// media is the media type of a picture, which Ollama does not state.
func media(base64 string) string {
	for _, s := range signatures {
		if strings.HasPrefix(base64, s.prefix) {
			return s.media
		}
	}
	return "image/png"
}
