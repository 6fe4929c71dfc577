package anthropic

import (
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluicehq/sluice/translate"
)

func TestPathDependsOnThePlatform(t *testing.T) {
	f := func(platform, model string, stream bool, want string) {
		t.Helper()
		c := &translate.Context{Model: model, Stream: stream, Platform: translate.Platform{
			Platform: platform, Project: "my project", Region: "us-east5",
		}}
		require.Equal(t, want, Dialect{}.Path(c))
	}
	f("", "claude", true, "/messages")
	f("", "claude", false, "/messages")

	f("vertex", "claude-3-7-sonnet@20250219", true,
		"/projects/my%20project/locations/us-east5/publishers/anthropic/models/claude-3-7-sonnet@20250219:streamRawPredict")
	f("vertex", "a/b", false, "/projects/my%20project/locations/us-east5/publishers/anthropic/models/a%2Fb:rawPredict")

	f("bedrock", "us.anthropic.claude-sonnet-4-20250514-v1:0", true,
		"/model/us.anthropic.claude-sonnet-4-20250514-v1%3A0/invoke-with-response-stream")
	f("bedrock", "arn:aws:bedrock:us-east-1:1:inference-profile/é", false,
		"/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A1%3Ainference-profile%2F%C3%A9/invoke")
}

func TestFramingFollowsTheContentType(t *testing.T) {
	f := func(media string, want translate.Framing, ok bool) {
		t.Helper()
		got, known := Dialect{}.Framing(media)
		require.Equal(t, ok, known)
		require.Equal(t, want, got)
	}
	f("text/event-stream", translate.FramingSSE, true)
	f("application/vnd.amazon.eventstream", translate.FramingAWS, true)
	f("application/json", translate.FramingNone, true)
	f("text/html", translate.FramingNone, false)
	f("", translate.FramingNone, false)
}

func TestModelsAreListedByTheVendorOnly(t *testing.T) {
	list := func(platform string) string {
		return Dialect{}.Models(&translate.Context{Platform: translate.Platform{Platform: platform}})
	}
	require.Equal(t, "/models?limit=1000", list(""))
	require.Empty(t, list("vertex"))
	require.Empty(t, list("bedrock"))

	body := []byte(`{"data":[{"type":"model","id":"claude-a"},{"id":""},{"id":"claude-b"}],"has_more":false}`)
	require.Equal(t, []string{"claude-a", "claude-b"}, Dialect{}.ModelNames(body))
	require.Empty(t, Dialect{}.ModelNames([]byte(`<html>`)))
}

func TestEveryChatMemberHasARule(t *testing.T) {
	for _, name := range translate.ChatMembers {
		require.NotZero(t, Dialect{}.Rules()[name], name)
	}
	require.Len(t, Dialect{}.Rules(), len(translate.ChatMembers))
}

// stream is a decoder that has seen the head of a message.
func stream(c *translate.Context) (translate.Decoder, *message, func(event string) translate.Progress) {
	d, to := Dialect{}.Decoder(c), &message{}
	return d, to, func(event string) translate.Progress { return d.Event(to, nil, []byte(event)) }
}

const signedThought = `{"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}}`

func TestThoughtsThatAreTooLargeAreNotCarried(t *testing.T) {
	f := func(deltas int, carried bool) {
		t.Helper()
		kept := memory{}
		_, to, event := stream(&translate.Context{Carried: kept})
		event(signedThought)
		piece := strings.Repeat("x", 1<<10)
		for range deltas {
			event(`{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"` + piece + `"}}`)
		}
		event(`{"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"c2ln"}}`)
		event(`{"type":"content_block_stop","index":0}`)
		event(`{"type":"content_block_start","index":1,"content_block":{"type":"redacted_thinking","data":"AAAA"}}`)
		event(`{"type":"content_block_start","index":2,"content_block":{"type":"tool_use","id":"t","name":"f","input":{}}}`)
		event(`{"type":"message_delta","delta":{"stop_reason":"tool_use"}}`)
		require.Equal(t, translate.Complete, event(`{"type":"message_stop"}`))
		require.Len(t, to.reasoning, deltas<<10)
		require.Equal(t, carried, to.carry != "")
		require.Equal(t, to.carry, kept["t"])
	}
	f(255, true)
	f(256, false)
	f(1000, false)
}

func TestBlocksThatNeverCloseAreBounded(t *testing.T) {
	_, _, event := stream(&translate.Context{})
	for i := range maxOpen {
		require.Equal(t, translate.More, event(`{"type":"content_block_start","index":`+strconv.Itoa(i)+`,"content_block":{"type":"text","text":""}}`))
	}
	require.Equal(t, translate.Malformed, event(`{"type":"content_block_start","index":99,"content_block":{"type":"text","text":""}}`))
}

func TestEventsAfterTheEndSayNothing(t *testing.T) {
	d, to, event := stream(&translate.Context{})
	event(`{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"a"}}`)
	event(`{"type":"message_delta","delta":{"stop_reason":"end_turn"}}`)
	require.Equal(t, translate.Complete, event(`{"type":"message_stop"}`))
	require.Equal(t, translate.More, event(`{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"b"}}`))
	require.Equal(t, translate.More, event(`{"type":"error","error":{"message":"late"}}`))
	require.Equal(t, translate.More, d.End(to))
	require.Equal(t, "a", to.text)
	require.Nil(t, to.failed)
}

func TestDecoderKeepsNothingOfAnEvent(t *testing.T) {
	kept := memory{}
	d, to := Dialect{}.Decoder(&translate.Context{Carried: kept}), &message{}
	var buffer []byte
	for _, event := range []string{
		`{"type":"message_start","message":{"id":"msg_1","model":"m","content":[]}}`,
		signedThought,
		`{"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"c2ln"}}`,
		`{"type":"content_block_stop","index":0}`,
		`{"type":"content_block_start","index":1,"content_block":{"type":"tool_use","id":"toolu_1","name":"f","input":{"a":1}}}`,
		`{"type":"content_block_stop","index":1}`,
		`{"type":"message_delta","delta":{"stop_reason":"tool_use"}}`,
		`{"type":"message_start","message":{"id":"msg_1","model":"m","content":[]}}`,
		`{"type":"message_stop"}`,
	} {
		buffer = append(buffer[:0], event...)
		d.Event(to, nil, buffer)
		for i := range buffer {
			buffer[i] = 'x'
		}
	}
	require.Equal(t, "tool_use", to.native)
	require.Equal(t, []messageCall{{"toolu_1", "f", `{"a":1}`}}, to.calls)
	require.Contains(t, kept["toolu_1"], "c2ln")
}

func TestBedrockEventsAreUnwrappedHoweverTheyAreWritten(t *testing.T) {
	f := func(frame string) {
		t.Helper()
		d := Dialect{}.Decoder(&translate.Context{Platform: translate.Platform{Platform: translate.PlatformBedrock}})
		to := &message{}
		require.Equal(t, translate.More, d.Event(to, []byte("chunk"), []byte(frame)))
		require.Equal(t, "?>", to.text)
	}
	event := `{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"?>"}} `
	f(wrap(event))
	f(" \n" + wrap(event))
	require.Contains(t, wrap(event), "/", "the case below")
	f(strings.ReplaceAll(wrap(event), "/", `\/`))
	f(event) // a gateway has unwrapped it
	f(wrap(event + strings.Repeat(" ", 3*maxIdleChunk)))
}

func TestFramesThatAreNoEventsAreIgnored(t *testing.T) {
	d := Dialect{}.Decoder(&translate.Context{Platform: translate.Platform{Platform: translate.PlatformBedrock}})
	require.Equal(t, translate.More, d.Event(&message{}, []byte("initial-response"), []byte(`{}`)))
	require.Equal(t, translate.Malformed, d.Event(&message{}, []byte("chunk"), []byte(`{`)))
}
