package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sluicehq/sluice/config"
)

// The exit codes of the program.
const (
	exitOK      = 0
	exitUsage   = 1
	exitFailure = 2
)

// failure is an error at run time, as opposed to one of the command line or the
// configuration.
type failure struct{ cause error }

func (f failure) Error() string { return f.cause.Error() }
func (f failure) Unwrap() error { return f.cause }

// program is what the commands share: the streams and the environment they were
// started with, and the flags of the root command.
type program struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	getenv         config.Getenv
	configPath     string
}

// run runs the program with args, which do not include its name, and returns its
// exit code. It ends early when ctx does.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer, getenv config.Getenv) int {
	p := &program{stdin: stdin, stdout: stdout, stderr: stderr, getenv: getenv}
	root := p.rootCommand()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	p.report(err)
	if errors.As(err, new(failure)) {
		return exitFailure
	}
	return exitUsage
}

// report writes an error for a person to read. Problems of a configuration stand
// one on a line in the form that editors jump to.
func (p *program) report(err error) {
	var problems *config.Problems
	if !errors.As(err, &problems) {
		_, _ = fmt.Fprintf(p.stderr, "sluice: %s\n", strings.TrimRight(err.Error(), "\n"))
		return
	}
	_, _ = fmt.Fprintln(p.stderr, problems.Error())
	noun := "problems"
	if len(problems.List) == 1 {
		noun = "problem"
	}
	_, _ = fmt.Fprintf(p.stderr, "sluice: %d %s in the configuration\n", len(problems.List), noun)
}

func (p *program) rootCommand() *cobra.Command {
	var test bool
	root := &cobra.Command{
		Use:   "sluice",
		Short: "A streaming reverse proxy for LLM APIs",
		Long: `sluice forwards LLM API calls event by event, keeps account of what they use,
and closes the upstream the moment nobody needs the answer any more.

Without a command it serves. The configuration is the file that --config names,
else the one that SLUICE_CONFIG names, else ./config.yaml; without any of them
the providers follow from OPENAI_API_KEY, ANTHROPIC_API_KEY, GEMINI_API_KEY and
COHERE_API_KEY, and without any of them the built-in simulator answers.

Exit codes: 0 success; 1 the command line or the configuration cannot be used, or
a healthcheck found sluice not ready; 2 a failure at run time.`,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if test {
				return p.check("", false)
			}
			return p.serve(cmd.Context())
		},
	}
	root.PersistentFlags().StringVar(&p.configPath, "config", "", "configuration file; - reads standard input")
	_ = root.MarkPersistentFlagFilename("config", "yaml", "yml")
	root.Flags().BoolVarP(&test, "test", "t", false, "check the configuration and exit, as sluice check does")
	root.AddCommand(p.checkCommand(), p.healthcheckCommand(), p.keysCommand(), p.pricesCommand(), p.repriceCommand(), p.simCommand(), p.usageCommand(), p.versionCommand())
	return root
}
