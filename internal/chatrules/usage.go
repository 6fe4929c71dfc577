package chatrules

// usageOf reads a usage object of OpenAI's form. A count that is null was not known.
func usageOf(v any) map[string]int64 {
	usage := map[string]int64{}
	for name, path := range map[string][]string{
		"prompt":      {"prompt_tokens"},
		"completion":  {"completion_tokens"},
		"cached":      {"prompt_tokens_details", "cached_tokens"},
		"cache_write": {"prompt_tokens_details", "cache_write_tokens"},
		"reasoning":   {"completion_tokens_details", "reasoning_tokens"},
	} {
		if n, ok := number(v, path...); ok {
			usage[name] = n
		}
	}
	return usage
}

// checkUsage finds fault with the arithmetic of a usage object.
func (f *findings) checkUsage(v any, o Options) {
	prompt, one := number(v, "prompt_tokens")
	completion, two := number(v, "completion_tokens")
	total, three := number(v, "total_tokens")
	if !o.Unknown && one && two && (!three || total != prompt+completion) {
		f.add("usage: total_tokens is not the sum of prompt_tokens and completion_tokens: %v", v)
	}
}
