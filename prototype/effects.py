import sys,random; sys.path.insert(0,'.')
import numpy as np, pandas as pd
from dataclasses import replace
from versat2i.shapes.world import flaws
from versat2i.shapes.world import drawing,grammar
from versat2i.rewards.aesthetic.classical import _beauty
from versat2i.rewards.low_level.classical import _cleanliness
from versat2i.rewards.geometry.regularity import _regularity
from bench.accuracy import answers,by_element
def scores(ims,texts):
    n=lambda v:[x if not isinstance(x,str) else np.nan for x in v]
    a=answers(ims,texts)
    per=(a.answer==a.expected).mean()
    return np.nanmean(n(map(_beauty,ims))),per,np.nanmean(n(map(_regularity,ims))),np.nanmean(n(map(_cleanliness,ims))),a
N=300
rng=random.Random(5)
sc=[]
for i in range(N):
    d=grammar.sample(rng); sc.append((d,grammar.phrase(d,rng),flaws.web_flaws(rng)))
texts=[t for _,t,_ in sc]
draw=lambda mod:np.stack([drawing.draw(d,random.Random(i),mod(f),8) for i,(d,_,f) in enumerate(sc)])
print('scene','aes tifa geo low')
r=scores(draw(lambda f:f),texts);print('web',np.round(r[:4],3)); print(by_element(r[4]).round(3).to_dict())
r=scores(draw(lambda f:drawing.PERFECT),texts);print('perfect',np.round(r[:4],3)); print(by_element(r[4]).round(3).to_dict())
for n in (sys.argv[1:] or flaws.LOADINGS):
    a=scores(draw(lambda f:replace(f,**{n:0.0})),texts); b=scores(draw(lambda f:replace(f,**{n:getattr(flaws.WHOLE,n)})),texts)
    print(n,'absent',np.round(a[:4],3),'whole',np.round(b[:4],3),'diff',np.round(np.array(b[:4])-np.array(a[:4]),3),flush=True)
