package openai

const (
	dataPrefix = "data: "
	eventEnd   = "\n\n"
	doneEvent  = "data: [DONE]\n\n"
)

// appendEvent appends JSON as an event. Line breaks can only stand between its tokens,
// where a space does as well.
func appendEvent(dst, json []byte) []byte {
	dst = append(dst, dataPrefix...)
	return append(appendOnOneLine(dst, json), eventEnd...)
}

func appendOnOneLine[T string | []byte](dst []byte, json T) []byte {
	from := len(dst)
	dst = append(dst, json...)
	for i := from; i < len(dst); i++ {
		if dst[i] == '\n' || dst[i] == '\r' {
			dst[i] = ' '
		}
	}
	return dst
}
