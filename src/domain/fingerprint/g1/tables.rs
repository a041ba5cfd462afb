//! What is known of runtimes, libraries and messages: lists and patterns, nothing else.
//!
//! Any change here changes hashes, so it is a new config. The golden files notice.

use std::sync::LazyLock;

use regex::Regex;

use super::family::Family;

/// Compiles a pattern of this file.
fn compile(pattern: &str) -> Regex {
    Regex::new(pattern).expect("every pattern of the tables is compiled by a test")
}

macro_rules! patterns {
    ($($(#[$doc:meta])* $name:ident = $pattern:expr;)*) => {
        $($(#[$doc])* pub(super) static $name: LazyLock<Regex> = LazyLock::new(|| compile($pattern));)*

        /// Compiles every pattern of the file.
        #[cfg(test)]
        fn compile_all() {
            $(LazyLock::force(&$name);)*
        }
    };
}

/// What SDKs write where a function's name is not known.
pub(super) const NO_NAMES: &[&str] = &[
    "<unknown>",
    "<redacted>",
    "<disabled>",
    "<unsupported>",
    "?",
    "disabled",
    "unsupported",
    "???",
];

/// Names JavaScript engines give to functions without one.
pub(super) const JS_ANONYMOUS: &[&str] =
    &["<anonymous>", "Anonymous function", "<anonymous function>", "(anonymous)", "anonymous"];

/// Files of JavaScript engines.
pub(super) const JS_ENGINE_FILES: &[&str] =
    &["[native code]", "native code", "eval code", "<anonymous>"];

/// Functions of JavaScript runtimes and compilers that stand on many stacks.
pub(super) const JS_RUNTIME: &[&str] = &[
    "processTicksAndRejections",
    "runMicrotasks",
    "runNextTicks",
    "queueMicrotask",
    "nextTick",
    "eval",
    "asyncGeneratorStep",
    "__awaiter",
    "__generator",
    "_callSuper",
    "captureException",
    "captureMessage",
];

/// The same, where their names are used by applications as well: only in files of compilers.
pub(super) const JS_COMPILED: &[&str] =
    &["_next", "_throw", "tryCatch", "fulfilled", "rejected", "step", "j"];

/// What the path of a compiler's helper contains.
pub(super) const JS_COMPILERS: &[&str] =
    &["node_modules", "regenerator", "tslib", "@babel", "webpack"];

/// Names that minifiers leave although they name nothing.
pub(super) const JS_MINIFIED_NAMES: &[&str] =
    &["value", "apply", "render", "invoke", "handler", "callback", "exports", "module"];

/// Methods of proxies that only pass a call on.
pub(super) const JVM_PASSING: &[&str] = &["invoke", "intercept"];

/// Methods of closures the compiler makes of a body.
pub(super) const JVM_CLOSURE_METHODS: &[&str] =
    &["invokeSuspend", "invoke", "apply", "resumeWith", "call", "run"];

/// Native functions that start threads, raise or end a process, by name.
pub(super) const NATIVE_RUNTIME: &[&str] = &[
    "_start",
    "start",
    "RtlUserThreadStart",
    "BaseThreadInitThunk",
    "__scrt_common_main_seh",
    "invoke_main",
    "pthread_start",
    "_pthread_start",
    "__pthread_start",
    "pthread_body",
    "_pthread_body",
    "__pthread_body",
    "thread_start",
    "start_thread",
    "clone",
    "clone3",
    "_pthread_wqthread",
    "start_wqthread",
    "UIApplicationMain",
    "abort",
    "raise",
    "__abort",
    "__pthread_kill",
    "pthread_kill",
    "gsignal",
    "cxa_throw",
    "_cxa_throw",
    "__cxa_throw",
    "_CxxThrowException",
    "RaiseException",
    "objc_exception_throw",
    "rust_begin_unwind",
    "_sigtramp",
    "std::terminate",
    "TppWorkerThread",
    "RtlpTpWorkCallback",
];

/// The same, by the beginning of their names; the last ones are those of Rust's panics.
pub(super) const NATIVE_RUNTIME_BEGINNINGS: &[&str] = &[
    "__libc_start",
    "__cxa_",
    "core::panicking::",
    "core::result::",
    "core::option::",
    "std::panicking::",
    "std::panic::",
    "std::rt::",
    "std::sys::",
    "std::sys_common::",
    "std::backtrace::",
    "__rust_",
    "___rust_",
];

/// Compiler thunks of Swift.
pub(super) const SWIFT_THUNKS: &[&str] =
    &["thunk for", "@callee_guaranteed", "partial apply for thunk", "reabstraction thunk"];

/// Namespaces of .NET that carry tasks from thread to thread.
pub(super) const DOTNET_PLUMBING: &[&str] = &[
    "System.Runtime.ExceptionServices",
    "System.Runtime.CompilerServices",
    "System.Threading.Tasks.Task",
    "System.Threading.ExecutionContext",
    "System.Threading.ThreadPool",
    "System.ThrowHelper",
    "lambda_method",
];

/// Types that say nothing without their message.
pub(super) fn generic_types(family: Family) -> &'static [&'static str] {
    match family {
        Family::Js => {
            &["AggregateError", "Error", "Object", "String", "Unhandled", "UnhandledRejection"]
        }
        Family::Python => &["BaseException", "Exception", "RuntimeError"],
        Family::Ruby => &["Exception", "RuntimeError", "StandardError"],
        Family::Php => &[
            "Error",
            "ErrorException",
            "Exception",
            "FatalError",
            "LogicException",
            "Notice",
            "RuntimeException",
            "Warning",
        ],
        Family::Jvm => &[
            "AssertionError",
            "Error",
            "Exception",
            "IllegalArgumentException",
            "IllegalStateException",
            "RuntimeException",
            "Throwable",
        ],
        Family::Dotnet => &[
            "Exception",
            "System.AggregateException",
            "System.ApplicationException",
            "System.ArgumentException",
            "System.Exception",
            "System.InvalidOperationException",
        ],
        Family::Go => &[],
        Family::Native => &[
            "Error",
            "NSError",
            "NSException",
            "std::exception",
            "std::logic_error",
            "std::runtime_error",
        ],
        Family::Other => &["Error"],
    }
}

/// Types that mean that memory ran out.
pub(super) const OUT_OF_MEMORY: &[&str] = &[
    "java.lang.OutOfMemoryError",
    "OutOfMemoryError",
    "MemoryError",
    "NoMemoryError",
    "System.OutOfMemoryException",
    "OutOfMemoryException",
];

/// Types that mean endless recursion.
pub(super) const STACK_OVERFLOW: &[&str] = &[
    "RecursionError",
    "java.lang.StackOverflowError",
    "StackOverflowError",
    "SystemStackError",
    "System.StackOverflowException",
    "StackOverflowException",
    "InsufficientExecutionStackException",
];

/// Types that mean that somebody stopped the program.
pub(super) const SHUTDOWN: &[&str] = &["KeyboardInterrupt", "SystemExit"];

/// Mechanisms that report a program which does not answer.
pub(super) const HANGS: &[&str] =
    &["anr", "apphang", "appexitinfo", "watchdog_termination", "watchdog"];

patterns! {
    /// Paths of code that is not the application's.
    LIBRARY_PATH = r"(?:^|/)(?:node_modules|bower_components|site-packages|dist-packages|\.pnpm|gems/[^/]+-[0-9][^/]*|vendor|Pods|\.cargo/(?:registry|git)|cargo/registry|go/pkg/mod|third_party|\.pub-cache|var/cache/(?:prod|dev|test)|virtualenvs?/[^/]+/lib|\.?venv/lib)/|^(?:node:|internal/|<frozen |<string>|native |\[native|ext:|deno:|(?:chrome|moz|safari(?:-web)?|ms-browser)-extension:|webkit-masked-url:)|^/rustc/|/rustlib/src/|^/usr/(?:lib|include|local/lib|local/go/src|share)/|^/lib(?:64|32)?/|^/System/|/lib/python[0-9](?:\.[0-9]+)?/|/libexec/go/src/|/ruby/[0-9][^/]*/|@v[0-9]+\.[0-9]+|webpack/(?:runtime|bootstrap)|^[A-Za-z]:/[Ww][Ii][Nn][Dd][Oo][Ww][Ss]/|/Frameworks/(?:libswift|Sentry)|//(?:unpkg\.com|cdn\.jsdelivr\.net|cdnjs\.cloudflare\.com|esm\.(?:sh|run)|ajax\.googleapis\.com)/";
    /// Packages of the JVM's libraries.
    JVM_LIBRARY = r"^(?:java|javax|jakarta|sun|com\.sun|jdk|kotlin|kotlinx|scala|groovy|clojure|android|androidx|dalvik|com\.android|com\.google\.android|org\.(?:apache|springframework|hibernate|eclipse|jboss|glassfish|postgresql|junit|slf4j|aspectj|mockito|codehaus|reactivestreams)|io\.(?:netty|sentry|ktor|vertx|micrometer|opentelemetry|reactivex|grpc|undertow|quarkus|micronaut)|reactor|rx|akka|okhttp3|okio|retrofit2|feign|ch\.qos|com\.(?:zaxxer|fasterxml|mysql|microsoft|google\.(?:common|inject|gson))|net\.bytebuddy|oracle)\.";
    /// Namespaces of .NET's libraries.
    DOTNET_LIBRARY = r"^(?:System|Microsoft|Newtonsoft|Npgsql|MySql|Dapper|Serilog|Grpc|Azure|Polly|MediatR|Hangfire|Quartz|NUnit|Xunit|Sentry|lambda_method)(?:\.|$)";
    /// Modules of Python's standard library and of its SDK.
    PYTHON_LIBRARY = r"^(?:asyncio|concurrent|multiprocessing|threading|importlib|runpy|contextlib|functools|unittest|logging|socketserver|http|urllib|json|ssl|socket|selectors|subprocess|sentry_sdk)(?:\.|$)";
    /// Packages of Go's standard library.
    GO_LIBRARY = r"^(?:runtime|net|reflect|sync|testing|internal|database/sql|encoding|context|io|os|bufio|syscall)(?:/|\.|$)";
    /// Symbols of native libraries.
    NATIVE_LIBRARY = r"^(?:<?(?:std|core|alloc|tokio(?:_\w+)?|hyper(?:_\w+)?|futures(?:_\w+)?|tower(?:_\w+)?|axum|actix(?:_\w+)?|tracing(?:_\w+)?|rayon(?:_\w+)?|backtrace|anyhow|eyre|color_eyre|sentry(?:_\w+)?|log|boost|__gnu_cxx|__cxxabiv1|art|dyld|ImageLoader\w*|google_breakpad|crashpad|UE|FDebug)(?:\[[0-9a-f]+\])?::|__rust_|___rust_|rust_begin_unwind|_?rust_eh|__cxa_|__libc_|_dispatch_|CFRunLoop|__CF|UIApplicationMain)";
    /// Binaries of operating systems.
    SYSTEM_IMAGE = r"^(?:/usr/lib/|/lib|/System/|/system/|/apex/|/vendor/|(?i:[A-Z]:\\windows\\))|^(?:libsystem|libdyld|libobjc|libdispatch|libc\+\+|CoreFoundation|Foundation|UIKit|UIKitCore|GraphicsServices|QuartzCore|SwiftUI|CFNetwork)";

    /// Files of compilers' helpers and of polyfills.
    JS_POLYFILL = r"(?:^|/)(?:@babel|core-js|regenerator-runtime|tslib)/";

    /// A folder that is named by a release or a build.
    RELEASE_FOLDER = r"^(?:v?\d+(?:[._-]\d+)*|\d{6,}.*|[0-9a-f]{7,40}|[0-9a-fA-F-]{36}|.*[-_]v?\d+(?:\.\d+)+|(?:build|release|tmp)[-_.].*\d.*|~~.*)$";
    /// `/(group)/` of routers that name files after routes.
    ROUTE_GROUP = r"/\([\w-]+\)/";

    /// A reflective call.
    JVM_REFLECTION = r"(?:^|\.)(?:GeneratedMethodAccessor|GeneratedConstructorAccessor|GeneratedSerializationConstructorAccessor)\d+|^java\.lang\.(?:reflect|invoke)\.|^(?:sun|jdk\.internal)\.reflect\.";
    /// A proxy of the runtime.
    JVM_PROXY = r"(?:^|\.)\$Proxy\d+$";
    /// What the name of a proxy class adds to that of its base.
    JVM_SUBCLASS = r"\$\$?(?:EnhancerBy\w*|SpringCGLIB|HibernateProxy|ByteBuddy|MockitoMock|Proxy\$_\$\$_WeldClientProxy)\$*.*$|_\$\$_(?:jvst|javassist).*$|\$\$[\w_]*CGLIB\$\$.*$";
    /// The class of a closure: `Outer$method$3`.
    JVM_CLOSURE = r"^(.*?)\$([a-z]\w*)\$\d+(?:\$\d+)*$";
    /// An anonymous class.
    JVM_ANONYMOUS = r"\$\d+(?:\$|$)";
    JVM_NUMBER = r"\$\d+";
    SCALA_ANONYMOUS = r"\$\$anon(?:fun)?\$?\S*";
    CLOJURE_FUNCTION = r"(fn|eval)__?\d+";
    GROOVY_CLOSURE = r"\$_(?:run_)?closure\d+";
    GROOVY_SCRIPT = r"(^|\.)(Script|WorkflowScript)\d+";
    JAVA_LAMBDA = r"^lambda\$(.+?)\$\d+(?:\$.*)?$";
    SCALA_LAMBDA = r"^\$anonfun\$(.+?)\$\d+$";

    DOTNET_ARITY = r"`\d+(?:\[\[?.*\]?\])?";
    DOTNET_STATE_MACHINE = r"^(.*)\+<(\w+)>d(?:__\d+)?$";
    DOTNET_CLOSURE_CLASS = r"\+<>c(?:__DisplayClass[\d_]+)?";
    DOTNET_LAMBDA = r"^<(\w*)>b__[\d_]+$";
    DOTNET_LOCAL = r"^<(\w*)>g__(\w+)\|[\d_]+$";
    DOTNET_GENERIC = r"`\d+|\[.*\]";

    RUBY_BLOCK = r"^(?:(?:block|rescue|ensure)(?: \(\d+ levels\))? in )+";
    RUBY_TEMPLATE = r"__\d{4,}_\d{3,}$";
    PHP_CONTAINER = r"^Container[A-Za-z0-9]{7}\\";
    TWIG_TEMPLATE = r"__TwigTemplate_[0-9a-f]+";
    GO_GENERIC = r"\[[^\]]*\]";
    GO_CLOSURE = r"(?:\.(?:func\d+|gowrap\d+|deferwrap\d+|\d+)|-range\d+|-fm|·\w+)+$";

    RUST_HASH = r"::h[0-9a-f]{16}E?$";
    RUST_CRATE = r"\[[0-9a-f]{6,16}\]";
    COMPILER_CLONE = r"\s*\[clone [^\]]*\]";
    COMPILER_SUFFIX = r"(?:\.(?:cold|part|isra|constprop|llvm|lto_priv|resolved)(?:\.\d+)*)+$";
    ANONYMOUS_NAMESPACE = r"\?A0x[0-9a-fA-F]+|`anonymous[ -]namespace'|\(anonymous namespace\)|_GLOBAL__N_\d+|<anonymous namespace>";
    OBJC_BLOCK = r"^__\d+([-+]\[.*\])_block_invoke(?:_\d+)?$";
    SWIFT_CLOSURE = r"^(?:partial apply for |thunk for |specialized |@objc |reabstraction thunk .*? )*closure #\d+.*? in (.+)$";
    RUST_IMPL = r"\{impl#\d+\}(?:::)?|::\{\{impl\}\}";
    NATIVE_NAMELESS = r"^(?:wasm-function\[\d+\]|\$?func\d+|sub_[0-9a-fA-F]+|FUN_[0-9a-f]+|<deduplicated_symbol>|__hidden#\d+_?)$";
    CPP_LAMBDA = r"\{lambda\([^}]*\)#\d+\}|<lambda_[0-9a-fA-F]+>|\$_\d+|'lambda\d*'(?:\([^)]*\))?|lambda_[0-9a-f]{6,}";
    RUST_CLOSURE = r"(?:::(?:\{\{closure\}\}|\{closure#\d+\}|\{shim:[^}]*\}))+";
    RETURN_TYPE = r"^[\w:<>*&]+$";
    QUALIFIED = r"^[\w~{}]+::";

    /// A type's address in native code.
    TYPE_ADDRESS = r"\s*/?\s*0x[0-9a-fA-F]+";
    /// Generic arity and the number of an anonymous class at the end of a type.
    TYPE_NUMBER = r"`\d+(?:\[.*\])?$|\$\d+$";
    /// A line that raises.
    RAISES = r#"^(?:[^'"`#]*?[\s;:{)])?(?:throw|raise|fail|abort|die|reject|panic)\b"#;

    /// A chunk of a program that could not be loaded.
    CHUNK = r"^(?:ChunkLoadError|Loading (?:CSS )?chunk \S+ failed|Failed to fetch dynamically imported module|error loading dynamically imported module|Importing a module script failed|Unable to preload CSS)";
    OUT_OF_MEMORY_TEXT = r"^Allowed memory size of \d+ bytes exhausted|heap out of memory|^Out of memory \(allocated";
    STACK_OVERFLOW_TEXT = r"^(?:Maximum call stack|too much recursion)";
    CONNECTION_REFUSED = r"(?i:connection refused|ECONNREFUSED|actively refused|\[WinError 10061\]|\[Errno (?:111|61)\])";
    CANNOT_CONNECT = r"(?i:could not connect to server|connection to server at .* failed|no route to host|EHOSTUNREACH|network is unreachable)";
    NO_SUCH_HOST = r"(?i:getaddrinfo (?:ENOTFOUND|EAI_AGAIN)|name or service not known|temporary failure in name resolution|nodename nor servname)";
    TOO_MANY_CONNECTIONS = r"(?i:too many connections|remaining connection slots|sorry, too many clients)";
    NO_SPACE = r"(?i:no space left on device|ENOSPC|\[Errno 28\])";
    /// Any of these.
    OUTAGE = r"(?i:refused|REFUSED|WinError|Errno|connect|no route|UNREACH|network is|getaddrinfo|not known|resolution|nodename|too many|connection slots|no space|ENOSPC)";
    /// The port in a message.
    PORT = r"(?:port |:)(\d{2,5})\b";

    /// What terminals are told about colours.
    ANSI = r"\x1b\[[0-9;]*m";
    /// A number of the operating system, before a text in the user's language.
    ERRNO = r"^(?:\(?(?:\d+), )?\[(Errno|WinError) (-?\d+)\]";
    RUBY_QUOTE = r"`([^'`]*)'";
    RUBY_RECEIVER = r"for (?:#<([A-Z]\w*(?:::[A-Z]\w*)*)[^>]*>|an instance of ([A-Z]\w*(?:::[A-Z]\w*)*))";
    RUBY_CLASS = r"for ([A-Z][\w:]*):Class|for class ([A-Z][\w:]*)";
    PYTHON_HINT = r"\.? Did you mean: .*$";
    RUST_OS_ERROR = r#"Os \{ code: -?\d+, kind: (\w+), message: "[^"]*" \}"#;

    JS_NULLISH = r"^Cannot (?:read|set) propert(?:y|ies) (?:of (?:undefined|null) \((?:reading|setting) '([^']*)'\)|'([^']*)' of (?:undefined|null))";
    JS_NULLISH_SAFARI = r"^(?:undefined|null) is not an object \(evaluating '([^']*)'\)";
    JS_NULLISH_FIREFOX = r#"^can't access property "([^"]*)", .* is (?:undefined|null)"#;
    JS_NULLISH_PLAIN = r"^(?:[\w$.\[\]()]+) is (?:undefined|null)$";
    JS_NOT_A_FUNCTION = r#"^([\w$.\[\]()'"]+) is not a function"#;
    JS_NOT_DEFINED = r"^(?:([\w$]+) is not defined|Can't find variable: ([\w$]+))";
    JS_FETCH_FAILED = r"^(?:Failed to fetch|NetworkError when attempting to fetch resource\.?|Load failed|Network request failed|The network connection was lost\.|The Internet connection appears to be offline\.)(?: \([^)]*\))?$";
    JS_JSON_PARSE = r"^(?:Unexpected token .*JSON|JSON\.parse: |JSON Parse error: |Unexpected end of JSON input)";
    JS_STACK_OVERFLOW = r"^(?:Maximum call stack size exceeded|too much recursion)";

    /// Names with a placeholder among at least three segments: pods, nodes, regions.
    KEBAB = r"(?:[A-Za-z0-9]+|[A-Za-z]*<\*>)(?:-(?:[A-Za-z0-9]+|[A-Za-z]*<\*>)){2,}";
    PLACEHOLDER_RUN = r"(?:<\*>[-:/.,;@_+#%]*\s?)+<\*>";
    WRAPPED_PLACEHOLDER = r"'<\*>'|\(<\*>\)|\[<\*>\]";
    /// A literal of JSON, Python, Ruby or Go, by its beginning.
    LITERAL = r#"^(?:\{\s*(?:["'\[{}]|[\w$-]+\s*[:=])|\[\s*(?:["'{\[\]]|-?\d|true|false|null|None|True|False))"#;
    /// Before a quoted value.
    VALUE_CONTEXT = r#"(?i:(?:input string:?|duplicate entry|base \d+:|to (?:float|int|number):?|invalid (?:value|literal|input|id|date)[^'"]{0,24}|value|user|named|called|unexpected (?:character|token|end)[^'"]{0,4}|got|received|parsing|parse|not found:|host=?|address|unexpected symbol|user) ?[=:(]? ?)$"#;
    /// Before a quoted name of code.
    NOUN_BEFORE = r"(?i:\b(?:column|table|relation|database|schema|field|propert(?:y|ies)|attribute|method|function|class|module|package|variable|constant|name|names?|key|index|option|arguments?|parameters?|keyword|type|import|from|symbol|label|template|route|view|constraint|sequence|trait|interface|struct|enum|macro|crate|plugin|extension|driver|directive|component|hook|prop|slot|reading|setting|calling|message|instance of|to|of|in|on|by|for|is|with))[ :=(]{0,2}$";
    /// After a quoted name of code.
    NOUN_AFTER = r"^ (?:object|attribute|propert|method|function|class|column|table|relation|field|module|argument|parameter|keyword|variable|constant|is not (?:defined|a|an|iterable|callable|subscriptable|in list)|has no|does not have|cannot be|can't be|must be|is required|is missing|is undefined|is null|is deprecated|takes|got an|expected|required|type|instances?|and ')";
    /// Before a quoted message.
    MESSAGE_BEFORE = r"(?i:message|desc|reason|error|cause)[ :=]{0,3}$";
    /// What only code is spelt like.
    CODE_SPELLING = r"[._:$@#()\[\]/\\]|[a-z][A-Z]|^[A-Z][a-z]+[A-Z]|^[A-Z]\w*(?:Error|Exception|Type)$";
    IDENTIFIER = r"^[A-Za-z_$@#][\w$.:>\-\\/#()\[\]]*$";
    NUMBERED_IDENTIFIER = r"^[A-Za-z_$@#.:>()\[\]-]*[A-Za-z_]\d{1,2}$";
    /// Words with digits that are no values.
    KNOWN_WORD = r"(?i)^(?:utf_?(?:8|16|32)|ascii|latin1|sha(?:1|2|3|224|256|384|512)|md[45]|base(?:32|64)|x(?:86|64)(?:_64)?|amd64|arm64|es\d{1,4}|h26[45]|ipv[46]|oauth[12]|http[123]|s3|ec2|k8s|i18n|l10n|a11y|log4j|p(?:50|90|95|99)|u?int(?:8|16|32|64|128)|[iuf](?:8|16|32|64|128)|float(?:16|32|64)|usize|double|v\d|tls1|python[23]|win32|neo4j|b2b|b2c|2fa|3ds?|mp[34]|h[1-6]|web3|d3|vue[23]|java\d{1,2})$";
    /// After an HTTP status.
    REASON_PHRASE = r"(?i)^\s*(?:Client Error|Server Error|Bad Request|Unauthorized|Payment Required|Forbidden|Not Found|Method Not Allowed|Not Acceptable|Request Timeout|Conflict|Gone|Payload Too Large|Unprocessable|Too Many Requests|Internal Server Error|Not Implemented|Bad Gateway|Service Unavailable|Gateway Time)";
    /// Before an HTTP status.
    STATUS_CONTEXT = r"(?i)(?:status(?:[ _-]?code)?|http(?:/\d(?:\.\d)?)?|responded with|response(?: code)?|returned|replied|error|code)(?: ?[:=(#]| was| is)? ?$";
    REPR_NOISE = r"^[<#]+|(?: object)? at 0x.*|:0x.*|[ >].*";

    /// The host of an address.
    HOST = r"^(?:[a-z]+:)?//([^/?#:]+)";
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_pattern_compiles() {
        super::compile_all();
    }
}
