/* A script for bash, written from commands.def: groups, verbs, name= of each command. */

#include "cli/command.h"

static const char *const globals[] = {"--url",  "--key-file", "--state",  "--json", "--all",
                                      "--help", "--version",  "--watch",  "--from", "--to",
                                      "--by",   "--provider", "--columns"};

static void put_words(FILE *f, struct str group)
{
    for (size_t i = 0; i < command_count(); i++)
        if (str_eq(command_at(i)->group, group))
            (void)fprintf(f, " " STR_FMT, STR_ARG(command_at(i)->verb));
}

void cli_complete_bash(FILE *f)
{
    (void)fputs("# Completion of weirctl: source <(weirctl completion bash)\n"
                "_weirctl() {\n"
                "    local word=${COMP_WORDS[COMP_CWORD]} words=() given=() i\n"
                "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
                "        case ${COMP_WORDS[i]} in\n"
                "        --url | --key-file | --state | -f | --from | --to | --by | --provider | "
                "--columns)\n"
                "            ((i++)) ;;\n"
                "        -*) ;;\n"
                "        *) given+=(\"${COMP_WORDS[i]}\") ;;\n"
                "        esac\n"
                "    done\n"
                "    case ${COMP_WORDS[COMP_CWORD - 1]} in\n"
                "    --key-file | -f)\n"
                "        mapfile -t COMPREPLY < <(compgen -f -- \"$word\")\n"
                "        return\n"
                "        ;;\n"
                "    esac\n"
                "    if [[ ${given[*]:0:2} == 'spend invoice' && $word != -* ]]; then\n"
                "        mapfile -t COMPREPLY < <(compgen -f -- \"$word\")\n"
                "        return\n"
                "    fi\n"
                "    case ${given[*]:0:2} in\n"
                "    '') words=(",
                f);
    for (size_t i = 0; i < command_group_count(); i++)
        (void)fprintf(f, STR_FMT " ", STR_ARG(command_group_at(i)->name));
    (void)fputs("apply completion help) ;;\n"
                "    apply) words=(-f --dry-run --yes --force) ;;\n"
                "    completion) words=(bash) ;;\n",
                f);
    for (size_t i = 0; i < command_group_count(); i++) {
        struct str name = command_group_at(i)->name;
        (void)fprintf(f, "    " STR_FMT ") words=(", STR_ARG(name));
        put_words(f, name);
        (void)fputs(" ) ;;\n", f);
    }
    for (size_t i = 0; i < command_count(); i++) {
        const struct command *cmd = command_at(i);
        struct field_walk w = {0};
        const struct field *m = command_field(cmd, &w);
        if (!m)
            continue;
        (void)fprintf(f, "    '" STR_FMT " " STR_FMT "') words=(", STR_ARG(cmd->group),
                      STR_ARG(cmd->verb));
        for (; m; m = command_field(cmd, &w))
            (void)fprintf(f, " " STR_FMT "=", STR_ARG(m->name));
        (void)fputs(" ) ;;\n", f);
    }
    (void)fputs("    esac\n"
                "    [[ $word != -* ]] || words=(",
                f);
    for (size_t i = 0; i < ARRAY_LEN(globals); i++)
        (void)fprintf(f, "%s ", globals[i]);
    (void)fputs("\"${words[@]}\")\n"
                "    mapfile -t COMPREPLY < <(compgen -W \"${words[*]}\" -- \"$word\")\n"
                "    [[ ${COMPREPLY[*]} != *= ]] || compopt -o nospace\n"
                "}\n"
                "complete -F _weirctl weirctl\n",
                f);
}
