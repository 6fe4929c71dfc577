package anthropic

import (
	"strings"

	"github.com/sluicehq/sluice/internal/jsonview"
	"github.com/sluicehq/sluice/modeldata"
	"github.com/sluicehq/sluice/translate"
	"github.com/sluicehq/sluice/translate/wire"
)

// defaultMaxTokens is what models of which nothing is known can certainly write;
// max_tokens is required.
const defaultMaxTokens = 4096

// Request writes the body for one message.
func (Dialect) Request(c *translate.Context, chat *translate.Chat) ([]byte, *translate.Error) {
	if err := rules.Apply(c, chat); err != nil {
		return nil, err
	}
	if err := wire.RefuseForModel(c, chat); err != nil {
		return nil, err
	}
	if err := wire.CheckEffort(chat.Effort); err != nil {
		return nil, err
	}
	e := encoder{c: c, chat: chat, o: wire.NewObject(1024)}
	e.plan()
	e.envelope()
	e.o.Int("max_tokens", e.maxTokens)
	e.system()
	e.messages()
	e.tools()
	e.toolChoice()
	e.thinking()
	e.outputConfig()
	e.sampling()
	e.stop()
	e.user()
	e.unknown()
	if e.failed != nil {
		return nil, e.failed
	}
	return e.o.End(), nil
}

// encoder writes one request. Members are planned first where they depend on one
// another, then written one by one.
type encoder struct {
	c    *translate.Context
	chat *translate.Chat

	maxTokens  int64
	prefill    *translate.Message // the assistant's, which the model is to continue; nil for none
	choice     choice
	answerTool *translate.Tool // nil for none
	thought    thought
	prefix     *wire.Prefix // of what has been written

	o      *wire.Object
	failed *translate.Error
}

func (e *encoder) plan() {
	e.maxTokens = e.chat.MaxTokens
	if e.maxTokens == 0 {
		e.maxTokens = e.ownBound()
	}
	e.planPrefill()
	e.planFormat()
	e.planThinking()
}

// ownBound is max_tokens where the client has set no bound: as much as the model can
// write. Older models refuse a bound that their context has no room for.
func (e *encoder) ownBound() int64 {
	const bytesPerToken = 3 // of most texts there are more
	most := e.c.Known.MaxOutput
	if most == 0 {
		return defaultMaxTokens
	}
	if room := e.c.Known.Context - textSize(e.chat)/bytesPerToken; e.c.Known.Context > 0 {
		most = min(most, max(room, defaultMaxTokens))
	}
	return most
}

// textSize is about how many bytes of text a model has to read.
func textSize(chat *translate.Chat) (size int64) {
	for i := range chat.Messages {
		m := &chat.Messages[i]
		for j := range m.Parts {
			size += int64(len(m.Parts[j].Text.Raw))
		}
		for j := range m.Calls {
			size += int64(len(m.Calls[j].Arguments))
		}
	}
	for i := range chat.Tools {
		size += int64(len(chat.Tools[i].Description.Raw) + len(chat.Tools[i].Parameters.Raw))
	}
	return size
}

func (e *encoder) fail(err *translate.Error) {
	if e.failed == nil {
		e.failed = err
	}
}

func (e *encoder) refuse(param, why string) { e.fail(translate.Unsupported(param, why)) }

func (e *encoder) dropped(member, why string) {
	e.c.Warn("'" + member + "' was dropped: " + why + ".")
}

// native is a member of the Messages API that the client wrote itself.
func (e *encoder) native(name string) jsonview.Value {
	for _, m := range e.chat.Unknown {
		if m.Name == name {
			return m.Value
		}
	}
	return jsonview.Value{}
}

// envelope writes what says which model answers and how. The cloud platforms take the
// model from the path and want the API's version in the body; Vertex AI, unlike
// Bedrock, takes stream as Anthropic does.
func (e *encoder) envelope() {
	switch e.c.Platform.Platform {
	case translate.PlatformVertex:
		e.o.Text("anthropic_version", "vertex-2023-10-16")
	case translate.PlatformBedrock:
		e.o.Text("anthropic_version", "bedrock-2023-05-31")
		return
	default:
		e.o.Text("model", e.c.Model)
	}
	if e.c.Stream {
		e.o.Bool("stream", true)
	}
}

// sampling writes temperature and top_p. A thinking model is sampled at temperature 1,
// and with a top_p of at least 0.95.
func (e *encoder) sampling() {
	temperature, topP := e.chat.Temperature, e.chat.TopP
	if temperature.Exists() && !wire.Takes(e.c, "temperature") {
		temperature = jsonview.Value{}
	}
	if topP.Exists() && !wire.Takes(e.c, "top_p") {
		topP = jsonview.Value{}
	}
	heat, _ := temperature.Float()
	mass, _ := topP.Float()
	if e.thought.on && temperature.Exists() && heat != 1 {
		e.dropped("temperature", "it cannot be chosen while the model thinks")
		temperature = jsonview.Value{}
	}
	if e.thought.on && topP.Exists() && mass < 0.95 {
		e.dropped("top_p", "it cannot be chosen while the model thinks")
		topP = jsonview.Value{}
	}
	if temperature.Exists() && topP.Exists() && e.c.Known.Has(modeldata.TraitTemperatureOrTopP) {
		switch {
		case mass == 1: // says what is the case anyway
			topP = jsonview.Value{}
		case heat == 1:
			temperature = jsonview.Value{}
		default:
			e.dropped("top_p", "this model takes either temperature or top_p")
			topP = jsonview.Value{}
		}
	}
	if heat > 1 && temperature.Exists() {
		e.c.Warn("'temperature' was lowered to 1: the provider has nothing above.")
		temperature = jsonview.Value{Raw: "1"}
	}
	e.o.Raw("temperature", temperature)
	e.o.Raw("top_p", topP)
}

// stop writes the stop sequences, but for those without a visible character: the API
// refuses them.
func (e *encoder) stop() {
	var visible []jsonview.Value
	for _, s := range e.chat.Stop {
		if wire.Blank(s) {
			e.c.Warn("A blank sequence in 'stop' was dropped: the provider refuses them.")
			continue
		}
		visible = append(visible, s)
	}
	e.o.Strings("stop_sequences", visible)
}

// user writes who asks. safety_identifier is OpenAI's newer name for user.
func (e *encoder) user() {
	id, name := e.chat.SafetyIdentifier, "safety_identifier"
	if !id.Exists() {
		id, name = e.chat.User, "user"
	}
	switch {
	case id.Inside() == "" || !wire.Takes(e.c, name):
		return
	case strings.Contains(id.Inside(), "@"):
		e.dropped(name, "the provider of this model refuses e-mail addresses")
		return
	}
	e.o.Name("metadata")
	e.o.Out = append(e.o.Out, `{"user_id":`...)
	e.o.Out = append(e.o.Out, id.Raw...)
	e.o.Out = append(e.o.Out, '}')
}

// unknown writes the members that OpenAI does not have as the client wrote them.
func (e *encoder) unknown() {
	var taken []translate.Member
	for _, m := range e.chat.Unknown {
		switch {
		case !wire.Takes(e.c, m.Name):
		case m.Name == "top_k" && e.thought.on:
			e.dropped("top_k", "it cannot be chosen while the model thinks")
		default:
			taken = append(taken, m)
		}
	}
	if err := e.o.Add("", taken); err != nil {
		e.fail(err)
	}
}

// comma appends a comma to a list that has an element.
func comma(list []byte) []byte {
	if len(list) > 0 {
		return append(list, ',')
	}
	return list
}
