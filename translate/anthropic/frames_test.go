package anthropic

import (
	"encoding/base64"
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"
)

// wrap is the payload of a frame of Bedrock around a model's event.
func wrap(event string) string {
	return `{"bytes":"` + base64.StdEncoding.EncodeToString([]byte(event)) + `","p":"abcdef"}`
}

// frames reads a recorded event stream of AWS in the plainest way, without looking at
// its checksums.
func frames(t *testing.T, body []byte, each func(name, payload []byte)) {
	t.Helper()
	for len(body) > 0 {
		total, size := binary.BigEndian.Uint32(body), binary.BigEndian.Uint32(body[4:])
		headers := body[12 : 12+size]
		name := []byte(nil)
		for len(headers) > 0 {
			n := int(headers[0])
			key := string(headers[1 : 1+n])
			require.EqualValues(t, 7, headers[1+n], "a string")
			length := int(binary.BigEndian.Uint16(headers[2+n:]))
			value := headers[4+n : 4+n+length]
			headers = headers[4+n+length:]
			switch key {
			case ":event-type":
				name = value
			case ":exception-type":
				name = append([]byte("exception "), value...)
			}
		}
		each(name, body[12+size:total-4])
		body = body[total:]
	}
}
