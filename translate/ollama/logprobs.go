package ollama

import "github.com/sluicehq/sluice/internal/jsonview"

// logprobs adds the entries of a line to those at hand, as the beginning of OpenAI's
// object. Ollama's entries are the same but for members that it leaves out when empty.
func (d *decoder) logprobs(v jsonview.Value) {
	for _, entry := range v.Elements {
		if !isToken(entry) {
			continue
		}
		if len(d.scratch) == 0 {
			d.scratch = append(d.scratch, `{"content":[`...)
		} else {
			d.scratch = append(d.scratch, ',')
		}
		d.scratch = appendToken(d.scratch, entry)
		d.scratch = append(d.scratch, `,"top_logprobs":[`...)
		separator := ""
		for _, other := range entry.Get("top_logprobs").Elements {
			if isToken(other) {
				d.scratch = append(d.scratch, separator...)
				d.scratch = append(appendToken(d.scratch, other), '}')
				separator = ","
			}
		}
		d.scratch = append(d.scratch, "]}"...)
	}
}

func isToken(v jsonview.Value) bool {
	return v.Get("token").IsString() && v.Get("logprob").IsNumber()
}

// appendToken appends an object but for its end.
func appendToken(dst []byte, v jsonview.Value) []byte {
	dst = append(dst, `{"token":`...)
	dst = append(dst, v.Get("token").Raw...)
	dst = append(dst, `,"logprob":`...)
	dst = append(dst, v.Get("logprob").Raw...)
	dst = append(dst, `,"bytes":`...)
	if bytes := v.Get("bytes"); bytes.IsArray() {
		return jsonview.AppendCompact(dst, bytes.Raw)
	}
	return append(dst, "null"...)
}
