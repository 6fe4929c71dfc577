package config

// vendor is a provider that follows from the variables its own tools use.
type vendor struct {
	name, dialect   string
	keyVar, baseVar string
	baseURL         string
}

var vendors = []vendor{
	{name: "openai", dialect: DialectOpenAI, keyVar: "OPENAI_API_KEY", baseVar: "OPENAI_BASE_URL", baseURL: "https://api.openai.com/v1"},
}

// FromEnvironment returns the configuration of a start without a file: the
// defaults, with a provider for every vendor whose key is set, or with the
// built-in simulator when there is none. Origin tells which. The error is a
// *Problems, for a vendor's base URL that cannot be used.
func FromEnvironment(getenv Getenv) (*Config, error) {
	c := Default()
	c.Origin = OriginEnvironment
	c.Providers = providersFromEnvironment(getenv)
	if len(c.Providers) == 0 {
		c.Origin = OriginSimulator
		c.Providers = []Provider{simulatorProvider()}
	}
	problems := &Problems{Name: "environment"}
	check(c, problems, nil, nil)
	if err := problems.err(); err != nil {
		return nil, err
	}
	return c, nil
}

func providersFromEnvironment(getenv Getenv) []Provider {
	var list []Provider
	for _, v := range vendors {
		key, _ := getenv(v.keyVar)
		if key == "" {
			continue
		}
		p := Provider{Name: v.name, Dialect: v.dialect, BaseURL: v.baseURL, APIKey: Secret(key)}
		p.setDefaults()
		if base, _ := getenv(v.baseVar); base != "" {
			p.BaseURL = base
		}
		list = append(list, p)
	}
	return list
}

// simulatorProvider is the built-in simulator under its usual name.
func simulatorProvider() Provider {
	p := Provider{Name: "sim", Dialect: DialectSim}
	p.setDefaults()
	return p
}
