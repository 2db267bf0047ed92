# Completion for fish; `make install` puts it where fish finds it. What fits is mailhaul's to say: `mailhaul complete`.

function __mailhaul_complete
    set -l words (commandline -opc)
    set -l at (commandline -ct)
    set -l head (string match -r '.*[=:]' -- $at)
    for line in (command $words[1] complete -- $words[2..-1] "$at" 2>/dev/null)
        switch $line
            case :files :dirs
                for path in (__fish_complete_path (string sub -s (math (string length -- "$head") + 1) -- "$at"))
                    echo "$head$path"
                end
            case '*'
                echo $line
        end
    end
end

complete -c mailhaul -f -a '(__mailhaul_complete)'
