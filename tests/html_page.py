"""What a page consists of, for the tests of report and sample pages."""

from html.parser import HTMLParser


class Page(HTMLParser):
    """Collects tags, addresses and ids, and checks that what is opened is closed."""

    VOID = {"meta", "link", "input", "br", "path", "use", "rect"}

    def __init__(self, text: str):
        super().__init__()
        self.tags, self.addresses, self.ids, self.open = [], [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.addresses += [value for name, value in attrs if name in ("src", "href", "action", "data")]
        self.ids += [value for name, value in attrs if name == "id"]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag
