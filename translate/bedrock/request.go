package bedrock

import (
	"github.com/sluicehq/sluice/internal/jsonview"
	"github.com/sluicehq/sluice/modeldata"
	"github.com/sluicehq/sluice/translate"
	"github.com/sluicehq/sluice/translate/wire"
)

// modelFields is the member of a request whose members go to the model as they are.
const modelFields = "additionalModelRequestFields"

// native are the members of a Converse request that a client can set in Bedrock's own
// words. Converse refuses members that it does not know.
var native = map[string]bool{
	modelFields: true, "additionalModelResponseFieldPaths": true, "guardrailConfig": true,
	"inferenceConfig": true, "outputConfig": true, "performanceConfig": true,
	"promptVariables": true, "requestMetadata": true, "serviceTier": true, "system": true,
	"toolConfig": true,
}

// Request implements translate.Dialect. Members that neither OpenAI nor Converse knows
// go into additionalModelRequestFields, so that parameters of the model itself can be
// set as they are elsewhere.
func (Dialect) Request(c *translate.Context, chat *translate.Chat) ([]byte, *translate.Error) {
	if e := rules.Apply(c, chat); e != nil {
		return nil, e
	}
	if e := wire.RefuseForModel(c, chat); e != nil {
		return nil, e
	}
	if e := wire.CheckEffort(chat.Effort); e != nil {
		return nil, e
	}
	r := request{c: c, chat: chat}
	r.planPrefill()
	r.planFormat()
	r.planThinking()
	r.readConversation()
	out := wire.NewObject(len(r.system.out) + r.conversationSize() + 1024)
	r.writeConversation(out)
	r.writeInference(out)
	r.writeTools(out)
	r.writeOutput(out)
	r.writeTier(out)
	r.writeFields(out)
	if r.failed != nil {
		return nil, r.failed
	}
	return out.End(), nil
}

// request is a request under construction.
type request struct {
	c      *translate.Context
	chat   *translate.Chat
	failed *translate.Error

	system    list
	turns     []*turn
	documents []string // the names of documents, which must differ
	toolUse   bool     // the conversation has tool calls or results
	prefix    *wire.Prefix

	prefill  *translate.Message // the assistant's, which the model is to continue; nil for none
	thinking thinking
	// The answer's form is asked for by outputConfig, or by a tool.
	schema     bool
	answerTool *translate.Tool
}

func (r *request) fail(e *translate.Error) {
	if r.failed == nil {
		r.failed = e
	}
}

// writeInference writes inferenceConfig.
func (r *request) writeInference(out *wire.Object) {
	in := wire.NewObject(128)
	if r.thinking.maxTokens > 0 {
		in.Int("maxTokens", r.thinking.maxTokens)
	}
	r.writeSampling(in)
	in.Strings("stopSequences", r.chat.Stop)
	if config := in.End(); len(config) > len("{}") {
		out.Literal("inferenceConfig", string(config))
	}
}

// writeSampling writes temperature and topP, of which some models take only one.
// Temperatures go from 0 to 1 in Converse.
func (r *request) writeSampling(in *wire.Object) {
	temperature := r.sampling("temperature", r.chat.Temperature, 1)
	topP := r.sampling("top_p", r.chat.TopP, 0.95)
	heat, _ := temperature.Float()
	mass, _ := topP.Float()
	if temperature.Exists() && topP.Exists() && r.c.Known.Has(modeldata.TraitTemperatureOrTopP) {
		if heat == 1 && mass != 1 { // which says what is the case anyway
			temperature = jsonview.Value{}
		} else {
			if mass != 1 {
				r.c.Warn("'top_p' was dropped: this model takes it only without 'temperature'.")
			}
			topP = jsonview.Value{}
		}
	}
	if temperature.Exists() && heat > 1 {
		r.c.Warn("'temperature' was lowered to 1: the provider takes none above.")
		temperature = jsonview.Value{Raw: "1"}
	}
	in.Raw("temperature", temperature)
	in.Raw("topP", topP)
}

// sampling is a parameter of sampling if it is to be sent. While it thinks, Claude takes
// none below least.
func (r *request) sampling(name string, v jsonview.Value, least float64) jsonview.Value {
	n, _ := v.Float()
	why := ""
	switch {
	case !v.Exists():
	case r.c.Known.Refused(name):
		why = "this model refuses it"
	case r.thinking.sampling == fixed || r.thinking.sampling == nearlyFixed && n < least:
		why = "it cannot be chosen while the model thinks"
	default:
		return v
	}
	if why != "" {
		r.c.Warn("'" + name + "' was dropped: " + why + ".")
	}
	return jsonview.Value{}
}

// writeTier writes serviceTier. Default is what requests without it get.
func (r *request) writeTier(out *wire.Object) {
	switch tier := r.chat.ServiceTier.Text(); tier {
	case "", "auto", "default":
	case "flex", "priority", "reserved":
		out.Literal("serviceTier", `{"type":"`+tier+`"}`)
	default:
		r.c.Warn("'service_tier' was dropped: the provider of this model has no such tier.")
	}
}

// writeFields writes additionalModelRequestFields and what the client has said in
// Bedrock's own words.
func (r *request) writeFields(out *wire.Object) {
	fields := wire.NewObject(128)
	for _, f := range r.thinking.fields {
		fields.Literal(f.name, f.json)
	}
	var known, unknown []translate.Member
	for _, m := range r.chat.Unknown {
		switch {
		case m.Name == modelFields && !m.Value.IsObject():
			r.fail(translate.InvalidType(modelFields, "an object"))
		case m.Name == modelFields:
			r.add(fields, modelFields+".", membersOf(m.Value))
		case native[m.Name]:
			known = append(known, m)
		default:
			unknown = append(unknown, m)
		}
	}
	r.add(fields, "", unknown)
	if all := fields.End(); len(all) > len("{}") {
		out.Literal(modelFields, string(all))
	}
	r.add(out, "", known)
}

func (r *request) add(to *wire.Object, prefix string, members []translate.Member) {
	if e := to.Add(prefix, members); e != nil {
		r.fail(e)
	}
}

func membersOf(v jsonview.Value) []translate.Member {
	var all []translate.Member
	for name, member := range v.Members {
		all = append(all, translate.Member{Name: name, Value: member})
	}
	return all
}
