package framing_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/protocol/eventstream"
	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/sse"
	"github.com/sluicehq/sluice/translate"
	"github.com/sluicehq/sluice/translate/framing"
)

type headers = eventstream.Headers

func text(name, value string) eventstream.Header {
	return eventstream.Header{Name: name, Value: eventstream.StringValue(value)}
}

// encoded is a frame as AWS's own encoder writes it.
func encoded(h headers, payload string) string {
	var out bytes.Buffer
	if err := eventstream.NewEncoder().Encode(&out, eventstream.Message{Headers: h, Payload: []byte(payload)}); err != nil {
		panic(err)
	}
	return out.String()
}

func frame(event, payload string) string {
	return encoded(headers{
		text(":event-type", event), text(":content-type", "application/json"), text(":message-type", "event"),
	}, payload)
}

func exceptionFrame(kind, payload string) string {
	return encoded(headers{
		text(":exception-type", kind), text(":content-type", "application/json"), text(":message-type", "exception"),
	}, payload)
}

func TestFramesHaveTheirTypeForAName(t *testing.T) {
	body := frame("messageStart", `{"role":"assistant"}`) + frame("empty", "") +
		exceptionFrame("throttlingException", `{"message":"Slow down"}`) +
		encoded(headers{text(":message-type", "error"), text(":error-code", "500"), text(":error-message", "a \"b\"\n")}, "ignored") +
		encoded(headers{}, "no headers")
	got := requireSameEverywhere(t, translate.FramingAWS, 0, body)
	require.NoError(t, got.Err)
	require.Equal(t, []string{
		`messageStart|{"role":"assistant"}`, "empty|", `exception throttlingException|{"message":"Slow down"}`,
		`exception 500|{"message":"a \"b\"\n"}`, "|no headers",
	}, got.Events)
}

func TestHeaderValuesOfAllTypesAreSteppedOver(t *testing.T) {
	var h headers
	for name, v := range map[string]eventstream.Value{
		"t": eventstream.BoolValue(true), "f": eventstream.BoolValue(false), "byte": eventstream.Int8Value(1),
		"short": eventstream.Int16Value(2), "int": eventstream.Int32Value(3), "long": eventstream.Int64Value(4),
		"bytes": eventstream.BytesValue(":event-type"), "time": eventstream.TimestampValue(time.Unix(5, 0)),
		"uuid": eventstream.UUIDValue{6}, "empty": eventstream.StringValue(""),
	} {
		h = append(h, eventstream.Header{Name: name, Value: v})
	}
	got := requireSameEverywhere(t, translate.FramingAWS, 0, encoded(append(h, text(":event-type", "x")), "1"))
	require.Equal(t, []string{"x|1"}, got.Events)
	got = requireSameEverywhere(t, translate.FramingAWS, 0, encoded(append(headers{text(":event-type", "x")}, h...), "1"))
	require.Equal(t, []string{"x|1"}, got.Events)
}

func TestAFrameThatIsTooLargeIsSkipped(t *testing.T) {
	body := frame("a", "1") + frame("b", strings.Repeat("x", 200)) + frame("c", "2")
	got := requireSameEverywhere(t, translate.FramingAWS, 150, body)
	require.NoError(t, got.Err)
	require.Equal(t, []string{"a|1", "too large", "c|2"}, got.Events)
	got = requireSameEverywhere(t, translate.FramingAWS, 5, body)
	require.Equal(t, []string{"too large", "too large", "too large"}, got.Events)
}

func TestACutFrameIsDropped(t *testing.T) {
	first, second := frame("a", "1"), frame("b", "2")
	for i := range len(second) {
		got := whole(t, translate.FramingAWS, 0, first+second[:i])
		require.NoError(t, got.Err)
		require.Equal(t, []string{"a|1"}, got.Events)
	}
}

func TestAFrameInWhichABitHasChangedEndsTheBody(t *testing.T) {
	good := frame("a", `{"x":1}`)
	for i := range good {
		bad := []byte(good)
		bad[i] ^= 0x10
		got := requireSameEverywhere(t, translate.FramingAWS, 0, good+string(bad)+good)
		require.Equal(t, []string{`a|{"x":1}`}, got.Events)
		require.ErrorIs(t, got.Err, framing.ErrChecksum)
	}
}

// made is a frame with right checksums, whatever its lengths say.
func made(total, headers uint32, rest string) string {
	b := binary.BigEndian.AppendUint32(nil, total)
	b = binary.BigEndian.AppendUint32(b, headers)
	b = binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
	b = append(b, rest...)
	return string(binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b)))
}

func TestImpossibleLengthsEndTheBodyBeforeAnythingIsKept(t *testing.T) {
	for _, body := range []string{
		made(0, 0, ""), made(15, 0, ""), made(16, 1, ""), made(20, 5, "1234"), made(1<<31, 0, ""),
		made(25<<20, 0, ""), made(1<<20, 129<<10, ""), made(16, 1<<32-1, ""), made(1<<32-1, 1<<32-1, ""),
	} {
		got := requireSameEverywhere(t, translate.FramingAWS, 0, body)
		require.Empty(t, got.Events)
		require.ErrorIs(t, got.Err, framing.ErrLength)
	}
	require.NoError(t, whole(t, translate.FramingAWS, 0, made(16, 0, "")).Err)
}

func TestHeadersThatCannotBeReadEndTheBody(t *testing.T) {
	for _, h := range []string{
		"\x00", "\x01", "\x01a", "\x05ab", "\x01a\x02", "\x01a\x0a", "\x01a\xff", "\x01a\x07", "\x01a\x07\x00",
		"\x01a\x07\x00\x02x", "\x01a\x06\xff\xffx", "\x01a\x04abc", "\x01a\x09abc", "\x00\x00",
	} {
		got := requireSameEverywhere(t, translate.FramingAWS, 0, made(uint32(16+len(h)), uint32(len(h)), h))
		require.Empty(t, got.Events)
		require.ErrorIs(t, got.Err, framing.ErrHeaders, "%q", h)
	}
}

func TestNothingIsReadAfterAnError(t *testing.T) {
	s := framing.New(translate.FramingAWS, 0)
	var ev sse.Event
	s.Feed([]byte(made(15, 0, "")))
	require.False(t, s.Next(&ev))
	s.Feed([]byte(frame("a", "1")))
	require.False(t, s.Next(&ev))
	require.False(t, s.Flush(&ev))
	require.ErrorIs(t, s.Err(), framing.ErrLength)
}

func TestRecordedFramesReadAsAWSReadsThem(t *testing.T) {
	files, err := filepath.Glob("../../../shared/captures/*/*/response.bin")
	require.NoError(t, err)
	if len(files) == 0 {
		t.Skip("the collection of recordings is absent")
	}
	for _, file := range files {
		body, err := os.ReadFile(file)
		require.NoError(t, err)
		var want []string
		in, decoder := bytes.NewReader(body), eventstream.NewDecoder()
		for {
			m, err := decoder.Decode(in, nil)
			if errors.Is(err, io.EOF) {
				break
			}
			require.NoError(t, err, file)
			require.Equal(t, "event", m.Headers.Get(":message-type").String(), file)
			want = append(want, m.Headers.Get(":event-type").String()+"|"+string(m.Payload))
		}
		got := requireSameEverywhere(t, translate.FramingAWS, 0, string(body))
		require.NoError(t, got.Err)
		require.Equal(t, want, got.Events)
	}
}
