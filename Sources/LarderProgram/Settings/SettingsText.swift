// The table of settings as an annotated settings file: what `larder settings` prints and `config/larder.yaml` holds.

/// Writes the table out for people.
package enum SettingsText {
    private static let columnsMax = 110

    /// A settings file that says the defaults, every line explained.
    package static var annotated: String {
        var text = """
            # Larder's settings, each with its default: this file changes nothing until it is edited.
            # `larder settings` prints it. `larder serve --config FILE` or LARDER_CONFIG=FILE reads it.
            #
            # Each setting is also an option (--workers 2) and an environment variable (LARDER_WORKERS=2): the command line
            # wins over the environment, the environment over this file. A setting that does not exist is an error. A variable
            # that is set to nothing counts as not set.
            # Times: 100ms, 30s, 15m, 1h30m; a bare number is seconds. Sizes: 64MiB, 25MB; a bare number is bytes.

            """
        for setting in Setting.table {
            let shown = setting.defaults
            text += "\n"
            text += comment(setting.meaning)
            text += comment(setting.trade)
            text += comment("Values: \(setting.form.allowed). Default: \(shown.joined(separator: ", ").nonEmpty ?? "nothing").")
            if setting.form.isList {
                text += shown.isEmpty ? "\(setting.name): []\n" : "\(setting.name):\n" + shown.map { "  - \(scalar($0))\n" }.joined()
            } else {
                text += "\(setting.name): \(scalar(shown[0]))\n"
            }
        }
        return text
    }

    /// `text` as YAML: plain where that is safe.
    private static func scalar(_ text: String) -> String {
        let isPlain = text.first.map { $0.isLetter || $0.isNumber || $0 == "." } ?? false
        return isPlain && !text.contains(": ") && !text.contains(" #") ? text : "\"\(text)\""
    }

    /// `text` broken into lines of a comment.
    private static func comment(_ text: String) -> String {
        var lines: [String] = []
        var line = "#"
        for word in text.split(separator: " ") {
            if line.count + 1 + word.count > columnsMax {
                lines.append(line)
                line = "#"
            }
            line += " " + word
        }
        return (lines + [line]).map { $0 + "\n" }.joined()
    }
}

extension String {
    fileprivate var nonEmpty: String? { isEmpty ? nil : self }
}
