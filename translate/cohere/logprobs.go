package cohere

import (
	"strconv"

	"github.com/sluicehq/sluice/internal/jsonview"
)

// appendLogprobs appends OpenAI's form of a {"text","token_ids","logprobs"} object, or
// of a list of them. Cohere does not say how the tokens divide the text, so that several
// become one entry, whose probability is the product of theirs.
func appendLogprobs(dst []byte, v jsonview.Value) []byte {
	dst = append(dst, `{"content":[`...)
	first := true
	for _, item := range v.Elements {
		dst, first = appendLogprob(dst, item, first)
	}
	if v.IsObject() {
		dst, _ = appendLogprob(dst, v, true)
	}
	return append(dst, "]}"...)
}

func appendLogprob(dst []byte, item jsonview.Value, first bool) ([]byte, bool) {
	text, of := item.Get("text"), item.Get("logprobs")
	if !text.IsString() || !of.First().IsNumber() {
		return dst, first
	}
	if !first {
		dst = append(dst, ',')
	}
	dst = append(dst, `{"token":`...)
	dst = append(dst, text.Raw...)
	dst = append(dst, `,"logprob":`...)
	if of.Len() == 1 {
		dst = append(dst, of.First().Raw...)
	} else {
		dst = strconv.AppendFloat(dst, sum(of), 'g', -1, 64)
	}
	return append(dst, `,"bytes":null,"top_logprobs":[]}`...), false
}

func sum(numbers jsonview.Value) float64 {
	total := 0.0
	for _, n := range numbers.Elements {
		f, _ := n.Float()
		total += f
	}
	return total
}
