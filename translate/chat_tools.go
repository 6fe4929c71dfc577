package translate

import "github.com/sluicehq/sluice/internal/jsonview"

// tools reads the functions that the model may call. Other kinds of tools run at one
// provider only.
func (p *chatParser) tools(v jsonview.Value, path string) []Tool {
	if !v.IsArray() {
		p.fail(path, "a list of tools")
		return nil
	}
	var all []Tool
	for i, tool := range v.Elements {
		where := at(path, i)
		switch kind := tool.Get("type"); {
		case kind.Is("function"):
		case !kind.IsString():
			p.fail(where+".type", "function")
			return nil
		default:
			p.refuse(where+".type", "only tools of the type function can be translated for this model's provider")
			return nil
		}
		t := p.function(tool.Get("function"), where+".function")
		t.Path = where
		t.CacheControl = optional(tool.Get("cache_control"))
		if !t.CacheControl.Exists() {
			t.CacheControl = optional(tool.Get("function", "cache_control"))
		}
		all = append(all, t)
	}
	return all
}

// legacyFunctions reads what tools replaced.
func (p *chatParser) legacyFunctions(v jsonview.Value) []Tool {
	if !v.IsArray() {
		p.fail("functions", "a list of functions")
		return nil
	}
	var all []Tool
	for i, f := range v.Elements {
		t := p.function(f, at("functions", i))
		t.Path = at("functions", i)
		all = append(all, t)
	}
	return all
}

func (p *chatParser) function(f jsonview.Value, path string) Tool {
	t := Tool{
		Name: f.Get("name").Text(), Description: optional(f.Get("description")),
		Parameters: optional(f.Get("parameters")), Strict: optional(f.Get("strict")),
	}
	switch {
	case !f.IsObject():
		p.fail(path, "an object")
	case t.Name == "":
		p.fail(path+".name", "a string that is not empty")
	case t.Description.Exists() && !t.Description.IsString():
		p.fail(path+".description", "a string")
	case t.Parameters.Exists() && !t.Parameters.IsObject():
		p.fail(path+".parameters", "an object")
	case t.Strict.Exists() && !t.Strict.IsBool():
		p.fail(path+".strict", "a boolean")
	}
	return t
}

// toolChoice reads tool_choice, and function_call that it replaced.
func (p *chatParser) toolChoice(param string, v jsonview.Value) {
	c := &p.chat.Choice
	if v.IsString() {
		switch mode := v.Text(); mode {
		case "auto", "none", "required":
			c.Mode = mode
		default:
			p.fail(param, "one of auto, none, required, or a function")
		}
		return
	}
	name := v.Get("function", "name")
	if param == "function_call" {
		name = v.Get("name")
	}
	switch kind := v.Get("type"); {
	case kind.IsString() && !kind.Is("function"): // allowed_tools, custom
		p.refuse(param+".type", "only a choice of one function can be translated for this model's provider")
	case !name.IsString() || name.Text() == "":
		p.fail(param, "one of auto, none, required, or a function")
	default:
		*c = ToolChoice{Mode: "function", Name: name.Text()}
	}
}

// refuse names a member that only OpenAI's own API has a meaning for.
func (p *chatParser) refuse(param, why string) {
	if p.failed == nil {
		p.failed = Unsupported(param, why)
	}
}
